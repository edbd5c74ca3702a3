-- No file is left out because its dates fit the other order of day and month better. If one is, declare the order or
-- correct the file.
select *
from {{ ref('doubted_files') }}
where verdict = 'other_date_order'
