{% for eval_set in ['prior', 'train'] %}
select
    order_id,
    product_id,
    add_to_cart_order,
    reordered,
    'order_products__{{ eval_set }}' as table_name,
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
