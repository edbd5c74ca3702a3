-- No file is left out since its dates fit the other order of day and month; whoever builds has to declare it or mend
-- the file.
select *
from {{ ref('doubted_files') }}
where verdict = 'other_date_order'
