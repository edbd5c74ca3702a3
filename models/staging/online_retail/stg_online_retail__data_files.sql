with source as (

    select * from {{ source('online_retail', 'data_files') }}

)

select
    table_name,
    file_name
from source
