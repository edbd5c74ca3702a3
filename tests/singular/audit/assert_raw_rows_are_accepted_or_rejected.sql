-- No row disappears silently: the raw rows of every file are its accepted plus its rejected rows.
select *
from {{ ref('row_reconciliation') }}
where raw_rows <> accepted_rows + rejected_rows
