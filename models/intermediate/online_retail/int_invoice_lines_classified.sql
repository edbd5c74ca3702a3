with invoice_lines as (

    select * from {{ ref('int_invoice_lines_unioned') }}

),

rejected as (

    select
        file_name,
        row_number
    from {{ ref('int_invoice_lines_rejected') }}

),

service_stock_codes as (

    select stock_code from {{ ref('service_stock_codes') }}

)

select
    invoice_lines.file_name || ':' || cast(invoice_lines.row_number as varchar) as invoice_line_id,
    invoice_lines.invoice_no,
    invoice_lines.stock_code,
    coalesce(invoice_lines.customer_id, 'Unknown') as customer_id,
    invoice_lines.description,
    -- The word that the data set itself uses for a country that is not known.
    coalesce(invoice_lines.country, 'Unspecified') as country,
    -- The first that applies. The prefix decides before the signs: one bad debt has a positive price and quantity.
    case
        when invoice_lines.invoice_no like 'C%' then 'cancellation'
        when invoice_lines.invoice_no like 'A%' then 'bad_debt'
        when invoice_lines.quantity <= 0 then 'stock_adjustment'
        when invoice_lines.unit_price <= 0 then 'free_item'
        else 'sale'
    end as transaction_type,
    invoice_lines.quantity,
    invoice_lines.unit_price,
    cast(invoice_lines.quantity * invoice_lines.unit_price as numeric(18, 3)) as line_amount,
    row_number() over (
        partition by
            invoice_lines.invoice_no,
            invoice_lines.stock_code,
            invoice_lines.description,
            invoice_lines.quantity,
            invoice_lines.invoiced_at,
            invoice_lines.unit_price,
            invoice_lines.customer_id,
            invoice_lines.country
        order by invoice_lines.file_name, invoice_lines.row_number
    ) > 1 as is_exact_duplicate,
    service_stock_codes.stock_code is null as is_product,
    invoice_lines.invoiced_at,
    invoice_lines.table_name,
    invoice_lines.file_name,
    invoice_lines.row_number
from invoice_lines
left join service_stock_codes
    on invoice_lines.stock_code = service_stock_codes.stock_code
where
    not exists (
        select 1
        from rejected
        where
            rejected.file_name = invoice_lines.file_name
            and rejected.row_number = invoice_lines.row_number
    )
