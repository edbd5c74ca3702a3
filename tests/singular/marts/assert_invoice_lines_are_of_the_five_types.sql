-- Every line is of one of the five types, and sales and cancellations are those of `invoice_lines`.
with totals as (

    select
        'lines' as total,
        (select count(*) from {{ ref('invoice_lines') }}) as expected,
        (
            select count(*) from {{ ref('invoice_lines') }}
            where transaction_type in ('sale', 'cancellation', 'bad_debt', 'stock_adjustment', 'free_item')
        ) as actual
    union all
    select
        'sales' as total,
        (
            select count(*) from {{ ref('invoice_lines') }}
            where transaction_type = 'sale'
        ) as expected,
        (select count(*) from {{ ref('fct_sales') }}) as actual
    union all
    select
        'cancellations' as total,
        (
            select count(*) from {{ ref('invoice_lines') }}
            where transaction_type = 'cancellation'
        ) as expected,
        (select count(*) from {{ ref('fct_cancellations') }}) as actual
    union all
    select
        'lines in invoices' as total,
        (select count(*) from {{ ref('invoice_lines') }}) as expected,
        (select coalesce(sum(line_count), 0) from {{ ref('invoices') }}) as actual
    union all
    select
        'lines in transactions' as total,
        (select count(*) from {{ ref('invoice_lines') }}) as expected,
        (select coalesce(sum(line_count), 0) from {{ ref('transactions') }}) as actual

)

select * from totals
where actual <> expected
