-- The figures of the complete official file, each counted independently. Off unless that file is loaded.
{{ config(enabled=var('online_retail_complete')) }}

with figures as (

    select
        'invoice lines' as figure,
        cast(541909 as numeric(18, 3)) as expected,
        cast((select count(*) from {{ ref('invoice_lines') }}) as numeric(18, 3)) as actual
    union all
    select
        'rejected rows' as figure,
        0 as expected,
        (select count(*) from {{ ref('int_invoice_lines_rejected') }}) as actual
    union all
    select
        'invoices' as figure,
        25900 as expected,
        (select count(*) from {{ ref('invoices') }}) as actual
    union all
    select
        'customers, Unknown included' as figure,
        4373 as expected,
        (select count(*) from {{ ref('customers') }}) as actual
    union all
    select
        'lines without a customer' as figure,
        135080 as expected,
        (select count(*) from {{ ref('invoice_lines') }} where customer_id = 'Unknown') as actual
    union all
    select
        'customers in two countries' as figure,
        8 as expected,
        (
            select count(*) from {{ ref('customers') }}
            where country_count > 1 and customer_id <> 'Unknown'
        ) as actual
    union all
    select
        'stock codes in upper case' as figure,
        3958 as expected,
        (select count(*) from {{ ref('stock_items') }}) as actual
    union all
    select
        'stock items without a description' as figure,
        110 as expected,
        (select count(*) from {{ ref('stock_items') }} where description is null) as actual
    union all
    select
        'transactions' as figure,
        531223 as expected,
        (select count(*) from {{ ref('transactions') }}) as actual
    union all
    select
        'exact duplicates' as figure,
        5268 as expected,
        (select count(*) from {{ ref('invoice_lines') }} where is_exact_duplicate) as actual
    union all
    select
        'sales' as figure,
        530103 as expected,
        (select count(*) from {{ ref('fct_sales') }}) as actual
    union all
    select
        'invoices with sales' as figure,
        19959 as expected,
        (select count(distinct invoice_no) from {{ ref('fct_sales') }}) as actual
    union all
    select
        'sale amount' as figure,
        10655622.484 as expected,
        (select sum(line_amount) from {{ ref('fct_sales') }}) as actual
    union all
    select
        'cancellations' as figure,
        9288 as expected,
        (select count(*) from {{ ref('fct_cancellations') }}) as actual
    union all
    select
        'cancellation amount' as figure,
        -896812.490 as expected,
        (select sum(line_amount) from {{ ref('fct_cancellations') }}) as actual
    union all
    select
        'bad debt lines' as figure,
        3 as expected,
        (select count(*) from {{ ref('invoice_lines') }} where transaction_type = 'bad_debt') as actual
    union all
    select
        'lines without a description' as figure,
        1454 as expected,
        (select count(*) from {{ ref('invoice_lines') }} where description is null) as actual
    union all
    select
        'countries' as figure,
        38 as expected,
        (select count(distinct country) from {{ ref('invoice_lines') }}) as actual

)

select * from figures
where actual <> expected
