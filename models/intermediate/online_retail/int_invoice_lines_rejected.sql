with invoice_lines as (

    select * from {{ ref('int_invoice_lines_unioned') }}

),

left_out_files as (

    select * from {{ ref('int_invoice_files_doubted') }}
    where verdict in ('repeated', 'other_date_order')

)

select
    invoice_lines.table_name,
    invoice_lines.file_name,
    invoice_lines.row_number,
    case
        when invoice_lines.rejection_reason is not null then invoice_lines.rejection_reason
        when left_out_files.verdict = 'repeated' then 'duplicate_key'
        else 'unreadable_value'
    end as reason,
    coalesce(invoice_lines.rejection_detail, left_out_files.detail) as detail,
    coalesce(invoice_lines.raw_record, {{ online_retail_record('invoice_lines') }}) as raw_record,
    invoice_lines.has_other_date_order,
    left_out_files.file_name is not null as is_of_left_out_file
from invoice_lines
left join left_out_files
    on
        invoice_lines.file_name = left_out_files.file_name
        and not invoice_lines.is_streamed
where
    invoice_lines.rejection_reason is not null
    or left_out_files.file_name is not null
