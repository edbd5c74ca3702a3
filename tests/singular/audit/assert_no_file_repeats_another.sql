-- No file repeats another one. Warns only: a file that does so as a whole is left out, and the rows count once.
{{ config(severity='warn') }}

select *
from {{ ref('doubted_files') }}
where verdict in ('repeated', 'partly_repeated')
