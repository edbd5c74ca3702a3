-- No file repeats another one. Warns only: a file that repeats another one as a whole is left out, so rows count once.
{{ config(severity='warn') }}

select *
from {{ ref('doubted_files') }}
where verdict in ('repeated', 'partly_repeated')
