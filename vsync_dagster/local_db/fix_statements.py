"""The SQL that applies a batch of fixes. The order in which they run is in `fixes`.

`fix_batch` holds the batch: what to make of which row (`entry_id`, `compared_cid`, `row_version`), DICT's entry, and
the outcome, which is null while a fix waits. `numbers` chooses fixes by their place in the batch.
"""

from psycopg.sql import SQL, Identifier

from vsync_dagster.local_db.entry_columns import ENTRY_COLUMNS, column_list

_COLUMNS = column_list()
_TARGETS = column_list("b")
_SET_ENTRY = SQL(", ").join(
    SQL("{} = {}").format(Identifier(name), Identifier("b", name)) for name in (*ENTRY_COLUMNS, "cid")
)

# What a batch of 5,000 takes, so that neither its rows nor their details go by way of a file.
RAISE_WORK_MEM = "set local work_mem = '32MB'"

# Text without a length, so that a value that `entries` refuses fails its own fix and not the batch. Half of each page
# is left free: a row's outcome is written beside it, and the index stays as it is.
CREATE_BATCH = """
create temporary table fix_batch (
    n int primary key,
    kind text not null,
    entry_id uuid,
    compared_cid bytea,
    row_version bigint,
    cid bytea not null,
    outcome text,
    error text,
    key_type text,
    key text,
    participant_ispb text,
    branch text,
    account_number text,
    account_type text,
    account_opened_at timestamptz,
    owner_type text,
    owner_tax_id text,
    owner_name text,
    owner_trade_name text,
    created_at timestamptz,
    key_owned_since timestamptz,
    request_id uuid
) with (fillfactor = 50) on commit drop
"""

COPY_BATCH = SQL(
    "copy fix_batch (n, kind, entry_id, compared_cid, row_version, cid, outcome, error, {}) from stdin (format binary)"
).format(_COLUMNS)

_DATES = ("account_opened_at", "created_at", "key_owned_since")
_ENTRY_TYPES = dict.fromkeys(_DATES, "timestamptz") | {"request_id": "uuid"}
# A binary COPY converts nothing: the types of its columns, in its order.
BATCH_TYPES = (
    *("int4", "text", "uuid", "bytea", "int8", "bytea", "text", "text"),
    *(_ENTRY_TYPES.get(name, "text") for name in ENTRY_COLUMNS),
)

# Without statistics of so new a table the planner may read all of `entries` for a thousand rows. Only of the columns
# that statements look for or join by: those of all would take longer than most of the statements.
ANALYZE_BATCH = "analyze fix_batch (n, kind, entry_id, cid, outcome, key)"
DROP_BATCH = "drop table fix_batch"

# Locks the rows in one order (two batches cannot wait for each other) and sees each as it is after the lock: what
# passes here cannot change before it is written, and is returned whole.
JUDGE_UPDATES = SQL(
    """
    with held as (
        select b.n,
            e.status = 'ACTIVE' and e.cid = b.cid and ({entry}) is not distinct from ({target}) as done,
            e.status = 'ACTIVE' and e.participant_ispb = b.participant_ispb
                and e.cid = b.compared_cid and e.xmin::text::bigint = b.row_version as unmoved,
            row_to_json(e)::text as before
        from fix_batch b join entries e on e.entry_id = b.entry_id
        where b.kind = 'UPDATE' and b.outcome is null
        order by e.entry_id
        for update of e
    ), judged as (
        select b.n, case when held.done then 'ALREADY' else 'MOVED' end as outcome
        from fix_batch b left join held using (n)
        where b.kind = 'UPDATE' and b.outcome is null and (held.done or held.unmoved is not true)
    ), marked as (
        update fix_batch b
        set outcome = judged.outcome,
            error = case judged.outcome when 'MOVED' then 'the row is no longer what was compared' end
        from judged where judged.n = b.n
    )
    select n, before from held where unmoved and not done
    """
).format(entry=column_list("e"), target=_TARGETS)

# Where a lock is not to be had in time: locks what is free, and fails what another transaction holds.
_REFUSE_LOCKED = SQL(
    """
    with free as (
        select b.n from fix_batch b join entries e on e.entry_id = b.entry_id
        where b.kind = {kind} and b.outcome is null
        order by e.entry_id
        for update of e skip locked
    )
    update fix_batch b
    set outcome = 'FAILED', error = {error}
    where b.kind = {kind} and b.outcome is null and b.n not in (select n from free)
        and exists (select from entries e where e.entry_id = b.entry_id)
    """
)
LOCKED = "another transaction holds a lock on the row; pg_locks and pg_prepared_xacts show which"
REFUSE_LOCKED_UPDATES = _REFUSE_LOCKED.format(kind="UPDATE", error=LOCKED)
REFUSE_LOCKED_CREATIONS = _REFUSE_LOCKED.format(kind="CREATE", error=LOCKED)
# What is left of a batch in which a lock was not to be had does not wait as long for each of its rows.
WAIT_LITTLE = "set local lock_timeout = '100ms'"

JUDGE_CREATIONS = """
update fix_batch b
set outcome = case
        when e.participant_ispb <> b.participant_ispb then 'FAILED'
        when e.cid = b.cid then 'ALREADY'
        else 'MOVED'
    end,
    error = case
        when e.participant_ispb <> b.participant_ispb then 'the key is active under another participant here'
        when e.cid <> b.cid then 'the key has become active here'
    end,
    entry_id = case when e.participant_ispb = b.participant_ispb then e.entry_id end
from entries e
where b.kind = 'CREATE' and b.outcome is null and e.status = 'ACTIVE' and e.key = b.key
"""

# Rows that wait for an update of this very batch may give up what others need: those are tried.
_REFUSE_TAKEN = SQL(
    """
    update fix_batch b
    set outcome = 'FAILED', error = {error}
    from entries e
    where b.kind = {kind} and b.outcome is null and e.status = 'ACTIVE' and e.{column} = b.{column}
        and e.entry_id is distinct from b.entry_id
        and not exists (
            select from fix_batch other
            where other.kind = 'UPDATE' and other.outcome is null and other.entry_id = e.entry_id
        )
    """
)
_TAKEN_CID = {"column": Identifier("cid"), "error": "its CID is active in another row here"}
_TAKEN_KEY = {"column": Identifier("key"), "error": "its key is active in another row here"}
REFUSE_UPDATES_TO_TAKEN_CIDS = _REFUSE_TAKEN.format(kind="UPDATE", **_TAKEN_CID)
REFUSE_UPDATES_TO_TAKEN_KEYS = _REFUSE_TAKEN.format(kind="UPDATE", **_TAKEN_KEY)
REFUSE_CREATIONS_OF_TAKEN_CIDS = _REFUSE_TAKEN.format(kind="CREATE", **_TAKEN_CID)

_WAITING = SQL("select n from fix_batch where outcome is null and kind = {} and {} order by n")
WAITING_UPDATES = _WAITING.format("UPDATE", SQL("true"))
WAITING_PROMOTIONS = _WAITING.format("CREATE", SQL("entry_id is not null"))
WAITING_INSERTS = _WAITING.format("CREATE", SQL("entry_id is null"))

# No guard here: the rows are locked, and were judged under that lock.
UPDATE_ENTRIES = SQL(
    """
    with written as (
        update entries e
        set {set_entry}, status = 'ACTIVE', updated_at = now()
        from fix_batch b
        where b.n = any(%(numbers)s) and e.entry_id = b.entry_id
        returning b.n, row_to_json(e)::text as after
    )
    update fix_batch b set outcome = 'APPLIED' from written where written.n = b.n returning b.n, written.after
    """
).format(set_entry=_SET_ENTRY)

PARK_ENTRIES = SQL(
    """
    update entries e set status = 'PENDING'
    from fix_batch b where b.n = any(%(numbers)s) and e.entry_id = b.entry_id
    """
).format()

# A registration that is under way here is completed only where it is the same one: the same owner, and the same request
# (or a row of a mapped key table that has no request id). Anything else is left PENDING, and DICT's entry becomes a row
# of its own: to overwrite another person's registration would make their row somebody else's.
CHOOSE_PENDING = """
update fix_batch b
set entry_id = chosen.entry_id
from (
    select distinct on (x.n) x.n, e.entry_id
    from fix_batch x
    join entries e on e.key = x.key and e.participant_ispb = x.participant_ispb and e.status = 'PENDING'
    where x.kind = 'CREATE' and x.outcome is null
        and e.owner_tax_id = x.owner_tax_id
        and (e.request_id = x.request_id or e.request_id is null)
    order by x.n, (e.request_id = x.request_id) desc nulls last, e.updated_at desc, e.entry_id
) chosen
where chosen.n = b.n
"""

# Those registrations, whole. Locked: what is read is what is then written over.
PENDING_BEFORE = """
select b.n, row_to_json(e)::text from fix_batch b join entries e on e.entry_id = b.entry_id
where b.kind = 'CREATE' and b.outcome is null
order by e.entry_id
for update of e
"""

PROMOTE_ENTRIES = SQL(
    """
    with written as (
        update entries e
        set {set_entry}, status = 'ACTIVE', updated_at = now(), deleted_at = null
        from fix_batch b
        where b.n = any(%(numbers)s) and e.entry_id = b.entry_id
            and e.status = 'PENDING' and e.key = b.key and e.participant_ispb = b.participant_ispb
            and e.owner_tax_id = b.owner_tax_id and (e.request_id = b.request_id or e.request_id is null)
        returning b.n, row_to_json(e)::text as after
    )
    update fix_batch b set outcome = 'APPLIED' from written where written.n = b.n returning b.n, written.after
    """
).format(set_entry=_SET_ENTRY)

INSERT_ENTRIES = SQL(
    """
    with written as (
        insert into entries as e ({columns}, cid, status)
        select {targets}, b.cid, 'ACTIVE' from fix_batch b where b.n = any(%(numbers)s)
        returning e.entry_id, e.cid, row_to_json(e)::text as after
    )
    update fix_batch b set outcome = 'APPLIED', entry_id = written.entry_id
    from written where b.n = any(%(numbers)s) and written.cid = b.cid returning b.n, written.after
    """
).format(columns=_COLUMNS, targets=_TARGETS)

MARK_FAILED = "update fix_batch set outcome = 'FAILED', error = %s where n = %s"

# A PENDING row that was chosen, and changed by somebody else before it could be written.
MARK_LEFT_OVER = """
update fix_batch set outcome = 'MOVED', error = 'the row is no longer what was compared' where outcome is null
"""

_KEEP = SQL(
    """
    on conflict on constraint fixes_once_a_run do update
    set key_type = excluded.key_type, entry_id = excluded.entry_id, outcome = excluded.outcome,
        error = excluded.error, created_at = now()
    where fixes.outcome <> 'APPLIED'
    """
)

RECORD_FIXES = SQL(
    """
    insert into fixes (run_id, participant_ispb, kind, key_type, entry_id, cid, outcome, error)
    select distinct on (kind, cid) %(run_id)s, %(ispb)s, kind, key_type, entry_id, cid, outcome, error
    from fix_batch where outcome <> 'ALREADY'
    order by kind, cid, n
    {keep}
    """
).format(keep=_KEEP)

RECORD_FIX = SQL(
    """
    insert into fixes (run_id, participant_ispb, kind, key_type, entry_id, cid, outcome, error)
    values (%s, %s, %s, %s, %s, %s, %s, %s)
    {keep}
    """
).format(keep=_KEEP)

COUNT_OUTCOMES = """
select kind, outcome, count(*) from fixes where run_id = %s and participant_ispb = %s group by kind, outcome
"""

WRITE_OUTBOX = """
insert into outbox (participant_ispb, event_type, payload)
select participant_ispb,
    case kind when 'CREATE' then 'vsync.entry.created' else 'vsync.entry.updated' end,
    jsonb_strip_nulls(jsonb_build_object(
        'entry_id', entry_id,
        'key_type', key_type,
        'participant_ispb', participant_ispb,
        'cid', encode(cid, 'hex'),
        'previous_cid', encode(compared_cid, 'hex'),
        'run_id', %(run_id)s::text
    ))
from fix_batch where outcome = 'APPLIED'
order by n
"""

RESULTS = "select entry_id, outcome, error from fix_batch order by n"
