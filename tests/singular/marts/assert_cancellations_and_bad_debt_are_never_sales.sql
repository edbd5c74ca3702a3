-- An invoice with the prefix C or A never counts as a sale, whatever its quantity and price.
select
    invoice_line_id,
    invoice_no
from {{ ref('fct_sales') }}
where
    invoice_no like 'C%'
    or invoice_no like 'A%'
    or quantity <= 0
    or unit_price <= 0
