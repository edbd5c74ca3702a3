with invoice_lines as (

    select * from {{ ref('int_invoice_lines_unioned') }}

)

select
    table_name,
    file_name,
    row_number,
    rejection_reason as reason,
    rejection_detail as detail,
    raw_record,
    has_other_date_order
from invoice_lines
where rejection_reason is not null
