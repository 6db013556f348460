-- What a participant's sets can be carried forward from without reading its whole table.

alter table sync_state
    -- The size of our set when it was verified, keys under review included; the XOR alone cannot tell it.
    add column entries bigint check (entries >= 0),
    -- When the table itself was last read whole for this set.
    add column read_whole_at timestamptz;
