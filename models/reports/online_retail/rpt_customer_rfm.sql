with sales as (

    select * from {{ ref('fct_sales') }}

),

-- The day after the last sale, so that the latest sale is one day ago.
last_sale as (

    select max(invoice_date) as last_invoice_date from sales

),

customers as (

    select
        customer_id,
        min(invoice_date) as first_sale_date,
        max(invoice_date) as last_sale_date,
        count(distinct invoice_no) as frequency,
        sum(line_amount) as monetary
    from sales
    where customer_id <> 'Unknown'
    group by customer_id

),

measured as (

    select
        customers.*,
        {{ dbt.datediff('customers.last_sale_date', 'last_sale.last_invoice_date', 'day') }}  -- noqa: LT05
        + 1 as recency_days
    from customers
    cross join last_sale

),

scored as (

    select
        *,
        6 - ntile(5) over (order by recency_days asc, customer_id asc) as recency_score,
        ntile(5) over (order by frequency asc, customer_id asc) as frequency_score,
        ntile(5) over (order by monetary asc, customer_id asc) as monetary_score
    from measured

)

select
    customer_id,
    first_sale_date,
    last_sale_date,
    cast(recency_days as integer) as recency_days,
    cast(frequency as integer) as frequency,
    cast(monetary as numeric(38, 3)) as monetary,
    cast(recency_score as smallint) as recency_score,
    cast(frequency_score as smallint) as frequency_score,
    cast(monetary_score as smallint) as monetary_score,
    cast(
        case
            when recency_score = 5 and frequency_score >= 4 then 'champions'
            when recency_score >= 3 and frequency_score >= 4 then 'loyal'
            when recency_score <= 2 and frequency_score = 5 then 'cannot lose'
            when recency_score <= 2 and frequency_score >= 3 then 'at risk'
            when recency_score <= 2 then 'hibernating'
            when recency_score = 3 and frequency_score = 3 then 'need attention'
            when recency_score = 3 then 'about to sleep'
            when recency_score = 4 and frequency_score = 1 then 'promising'
            when frequency_score = 1 then 'new'
            else 'potential loyalists'
        end as varchar(20)
    ) as segment
from scored
