{{ config(materialized='view') }}

with order_products as (

    select * from {{ ref('order_products') }}

),

orders as (

    select * from {{ ref('orders') }}

),

products as (

    select * from {{ ref('products') }}

),

aisles as (

    select * from {{ ref('aisles') }}

),

departments as (

    select * from {{ ref('departments') }}

)

select
    order_products.order_id,
    order_products.product_id,
    orders.user_id,
    products.aisle_id,
    products.department_id,
    orders.eval_set,
    products.product_name,
    aisles.aisle,
    departments.department,
    orders.order_number,
    orders.order_dow,
    orders.order_hour_of_day,
    orders.days_since_prior_order,
    order_products.add_to_cart_order,
    order_products.reordered
from order_products
inner join orders
    on order_products.order_id = orders.order_id
inner join products
    on order_products.product_id = products.product_id
inner join aisles
    on products.aisle_id = aisles.aisle_id
inner join departments
    on products.department_id = departments.department_id
