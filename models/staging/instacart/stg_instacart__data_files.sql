with source as (

    select * from {{ source('instacart', 'data_files') }}

)

select
    table_name,
    file_name
from source
