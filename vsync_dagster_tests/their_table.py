"""A participant's key table of another shape, and its mapping: other names, words, types, and columns of its own."""

from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.key_table.attach import attach
from vsync_dagster.local_db.key_table.mapping import parse

TABLE = """
create schema core;
create type core.account_kind as enum ('CORRENTE', 'PAGAMENTO', 'SALARIO', 'POUPANCA');
create table core.pix_keys (
    id bigint generated always as identity primary key,
    pix_key varchar(77) not null,
    tipo varchar(10) not null,
    agencia varchar(4),
    conta varchar(20) not null,
    tipo_conta core.account_kind not null,
    aberta_em timestamp,
    pessoa char(1),
    documento varchar(14) not null,
    nome varchar(150) not null,
    nome_fantasia varchar(100),
    solicitacao varchar(36),
    cid char(64),
    situacao smallint not null default 1,
    criada_em timestamp,
    posse_desde timestamp,
    atualizada_em timestamp not null default (now() at time zone 'UTC'),
    canal text not null default 'APP',
    limite numeric(12, 2) not null default 1000,
    cor text
);
"""

MAPPING = """
schema = "core"
table = "pix_keys"
time_zone = "UTC"

[columns]
entry_id = "id"
key = "pix_key"
key_type = "tipo"
branch = "agencia"
account_number = "conta"
account_type = "tipo_conta"
account_opened_at = "aberta_em"
owner_type = "pessoa"
owner_tax_id = "documento"
owner_name = "nome"
owner_trade_name = "nome_fantasia"
request_id = "solicitacao"
status = "situacao"
created_at = "criada_em"
key_owned_since = "posse_desde"
updated_at = "atualizada_em"

[constants]
participant_ispb = "12345678"

[words.key_type]
PHONE = "TELEFONE"
EVP = ["ALEATORIA", "EVP"]

[words.account_type]
CACC = "CORRENTE"
TRAN = "PAGAMENTO"
SLRY = "SALARIO"
SVGS = "POUPANCA"

[words.owner_type]
NATURAL_PERSON = "F"
LEGAL_PERSON = "J"

[words.status]
ACTIVE = [1, 3]
PENDING = 0
DELETED = 9
"""

BLOCKED = 3
"""A status of theirs that is ACTIVE to DICT as well: a key that a judge has blocked."""


def attach_theirs(database: Database, mapping: str = MAPPING) -> None:
    """Make their table, and have `entries` be a view of it."""
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        attach(conn, parse(mapping))
