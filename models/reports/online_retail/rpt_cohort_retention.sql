with months as (

    {{ months_of_data() }}

),

dated_sales as (

    select
        customer_id,
        line_amount,
        cast({{ dbt.date_trunc('month', 'invoice_date') }} as date) as sales_month
    from {{ ref('fct_sales') }}
    where customer_id <> 'Unknown'

),

sales as (

    select
        customer_id,
        sales_month,
        sum(line_amount) as sales_amount
    from dated_sales
    group by customer_id, sales_month

),

customers as (

    select
        customer_id,
        min(sales_month) as cohort_month
    from sales
    group by customer_id

),

cohorts as (

    select
        cohort_month,
        count(*) as cohort_size
    from customers
    group by cohort_month

),

active as (

    select
        customers.cohort_month,
        sales.sales_month,
        count(*) as active_customers,
        sum(sales.sales_amount) as sales_amount
    from sales
    inner join customers
        on sales.customer_id = customers.customer_id
    group by customers.cohort_month, sales.sales_month

)

select
    cohorts.cohort_month,
    cast(
        {{ dbt.datediff('cohorts.cohort_month', 'months.sales_month', 'month') }} as integer  -- noqa: LT05
    ) as months_since_first,
    months.sales_month,
    cast(cohorts.cohort_size as integer) as cohort_size,
    cast(coalesce(active.active_customers, 0) as integer) as active_customers,
    {{ ratio('coalesce(active.active_customers, 0)', 'cohorts.cohort_size') }} as retention,
    cast(coalesce(active.sales_amount, 0) as numeric(38, 3)) as sales_amount,
    months.is_complete_month
from cohorts
inner join months
    on cohorts.cohort_month <= months.sales_month
left join active
    on
        cohorts.cohort_month = active.cohort_month
        and months.sales_month = active.sales_month
