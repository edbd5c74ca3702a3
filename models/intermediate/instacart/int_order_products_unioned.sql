{% for eval_set in ['prior', 'train'] %}
select
    order_id,
    product_id,
    add_to_cart_order,
    reordered,
    cast('order_products__{{ eval_set }}' as varchar(100)) as table_name,
    file_name,
    row_number,
    raw_record,
    rejection_reason,
    rejection_detail
from {{ ref('stg_instacart__order_products__' ~ eval_set) }}
{% if not loop.last %}
union all
{% endif %}
{% endfor %}
