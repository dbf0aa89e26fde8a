-- Access keys and their secrets. A secret is never stored as it is: its hash compares, and sealed it can be opened by
-- who has the master key, which is not in this file.

create table access_keys (
  key_id      text primary key,
  account     text not null,
  name        text not null,
  scopes      text not null constraint scopes_are_json check (json_valid(scopes)),
  -- 1: declared in the settings file.
  is_declared integer not null constraint is_declared_is_a_claim check (is_declared in (0, 1)),
  created_at  integer not null,
  -- The key that made it; null: nobody in particular.
  created_by  text,
  -- Null: never.
  expires_at  integer
) strict, without rowid;
create index access_keys_account on access_keys (account, key_id);

-- Two rows of a key while a rotation lasts.
create table access_key_secrets (
  key_id     text not null references access_keys on delete cascade,
  number     integer not null,
  hash       blob not null constraint hash_is_sha256 check (length(hash) = 32),
  sealed     blob not null,
  created_at integer not null,
  -- Null: with the key.
  expires_at integer,
  primary key (key_id, number)
) strict, without rowid;
