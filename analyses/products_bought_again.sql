-- Which products are bought again most often, among those with at least 50 order lines?
with order_items as (

    select * from {{ ref('fct_order_items') }}

)

select
    product_name,
    department,
    count(*) as order_lines,
    cast(cast(sum(reordered) as numeric(18, 6)) / count(*) as numeric(7, 6)) as reorder_share
from order_items
group by product_id, product_name, department
having count(*) >= 50
order by reorder_share desc, order_lines desc, product_id asc
