"""The tables of the simulator's state file. Times are milliseconds since 1970 in UTC; CIDs and VSyncs are 32 bytes.

A row of `entries` is one version of an entry: an update ends one row and begins another, so that the CID set of any
past moment can be told (a CID set file is the set at its creation time).
"""

VERSION = 3

STATEMENTS = (
    """
    CREATE TABLE participants (
        ispb TEXT PRIMARY KEY,
        via TEXT,
        CHECK (length(ispb) = 8 AND ispb NOT GLOB '*[^0-9A-Za-z]*'),
        CHECK (via <> ispb)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE cid_sets (
        id INTEGER PRIMARY KEY,
        participant TEXT NOT NULL REFERENCES participants (ispb),
        key_type TEXT NOT NULL,
        vsync BLOB NOT NULL,
        size INTEGER NOT NULL,
        last_event_at INTEGER NOT NULL,
        UNIQUE (participant, key_type)
    ) STRICT
    """,
    """
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY,
        set_id INTEGER NOT NULL REFERENCES cid_sets (id),
        cid BLOB NOT NULL,
        added_at INTEGER NOT NULL,
        removed_at INTEGER,
        open_claim_at INTEGER,
        key TEXT NOT NULL,
        branch TEXT,
        account_number TEXT NOT NULL,
        account_type TEXT NOT NULL,
        account_opened_at INTEGER NOT NULL,
        owner_type TEXT NOT NULL,
        owner_tax_id TEXT NOT NULL,
        owner_name TEXT NOT NULL,
        owner_trade_name TEXT,
        created_at INTEGER NOT NULL,
        key_owned_since INTEGER NOT NULL,
        request_id BLOB NOT NULL
    ) STRICT
    """,
    "CREATE UNIQUE INDEX entries_active_cid ON entries (cid) WHERE removed_at IS NULL",
    "CREATE UNIQUE INDEX entries_active_key ON entries (key) WHERE removed_at IS NULL",
    "CREATE INDEX entries_set ON entries (set_id, removed_at)",
    """
    CREATE TABLE cid_events (
        seq INTEGER PRIMARY KEY,
        set_id INTEGER NOT NULL REFERENCES cid_sets (id),
        at INTEGER NOT NULL,
        type TEXT NOT NULL CHECK (type IN ('ADDED', 'REMOVED')),
        cid BLOB NOT NULL,
        vsync BLOB NOT NULL
    ) STRICT
    """,
    "CREATE INDEX cid_events_set ON cid_events (set_id, at)",
    """
    CREATE TABLE confirmed_claims (
        key TEXT PRIMARY KEY,
        confirmed_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE sync_verifications (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        set_id INTEGER NOT NULL REFERENCES cid_sets (id),
        at INTEGER NOT NULL,
        verifier BLOB NOT NULL,
        result TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE cid_files (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        set_id INTEGER NOT NULL REFERENCES cid_sets (id),
        name TEXT NOT NULL UNIQUE,
        outcome TEXT NOT NULL,
        requested_at INTEGER NOT NULL,
        ready_at INTEGER NOT NULL,
        bytes INTEGER,
        sha256 TEXT
    ) STRICT
    """,
    """
    CREATE TABLE buckets (
        scope TEXT NOT NULL,
        policy TEXT NOT NULL,
        units INTEGER NOT NULL,
        unit_ms INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (scope, policy)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE faults (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        operation TEXT NOT NULL,
        kind TEXT NOT NULL,
        after INTEGER NOT NULL,
        times INTEGER NOT NULL,
        status INTEGER,
        retry_after INTEGER,
        seconds REAL,
        target TEXT
    ) STRICT
    """,
    """
    CREATE TABLE calls (
        operation TEXT NOT NULL,
        participant TEXT NOT NULL,
        status INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (operation, participant, status)
    ) STRICT, WITHOUT ROWID
    """,
)
