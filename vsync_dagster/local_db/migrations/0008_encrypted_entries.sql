-- Entries outside of `entries` and of the review queue are kept encrypted. `key_id` names the key, `ciphertext` is bound to
-- its row: it opens in no other.

-- What was kept in the clear can be looked up again, and cannot be encrypted from here.
drop table looked_up_entries;

-- Entries as DICT answered them, waiting to be applied.
create table looked_up_entries (
    participant_ispb char(8) not null,
    cid bytea not null check (octet_length(cid) = 32),
    key_id text not null,
    ciphertext bytea not null,
    looked_up_at timestamptz not null default now(),
    -- Each costs one of DICT's tokens, so they outlive restarts and a weekend, but not a sync that was given up.
    expires_at timestamptz not null default now() + interval '7 days',
    primary key (participant_ispb, cid)
);

create index looked_up_entries_expires_at on looked_up_entries (expires_at);

-- What a row of `entries` was before and after a fix was applied to it: the evidence that stays when the row moves on.
create table fix_details (
    run_id text not null,
    participant_ispb char(8) not null,
    kind text not null check (kind in ('CREATE', 'UPDATE')),
    cid bytea not null check (octet_length(cid) = 32),
    key_id text not null,
    ciphertext bytea not null,
    -- SHA-256 of the plaintext, in which a random salt keeps a digest from being guessed. Stays the same when keys are
    -- rotated: a chain of hashes holds on to this.
    digest bytea not null check (octet_length(digest) = 32),
    created_at timestamptz not null default now(),
    primary key (run_id, participant_ispb, kind, cid)
);

create function refuse_changes_of_fix_details() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp
as $$
begin
    if (to_jsonb(new) - 'key_id' - 'ciphertext') is distinct from (to_jsonb(old) - 'key_id' - 'ciphertext')
        or new.key_id = old.key_id
    then
        raise exception 'of fix_details only the key may be replaced'
            using errcode = 'restrict_violation', table = 'fix_details', constraint = 'append_only';
    end if;
    return new;
end
$$;

create trigger refuse_changes_of_fix_details before update on fix_details
    for each row execute function refuse_changes_of_fix_details();

alter table fix_details enable always trigger refuse_changes_of_fix_details;
