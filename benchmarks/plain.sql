-- The baseline of the benchmark: what a good engineer would write by hand in plain DuckDB for the same tables and the
-- same checks, without dbt and for clean files. It uses what DuckDB offers (typed read_csv, store_rejects) and does less
-- than the project: `1.5` would be rounded, `0x1F` read as 31, an open quote would take its neighbours along, and after
-- a malformed line the row numbers are those of the rows read. On clean files its tables equal dbt's, row for row, which
-- benchmarks/bench.py compares. Variables: instacart and online_retail, the data folders.

create schema instacart;
create schema online_retail;
create schema reference;
create schema audit;

-- Instacart: stage. File order decides which of two duplicates stays, so that every row keeps its number.

create temp table stage_aisles as
select *, row_number() over () + 1 as row_number
from read_csv(getvariable('instacart') || '/aisles.csv', auto_detect = false, header = true, quote = '"', escape = '"',
    columns = {'aisle_id': 'integer', 'aisle': 'varchar'}, store_rejects = true);

create temp table stage_departments as
select *, row_number() over () + 1 as row_number
from read_csv(getvariable('instacart') || '/departments.csv', auto_detect = false, header = true, quote = '"',
    escape = '"', columns = {'department_id': 'integer', 'department': 'varchar'}, store_rejects = true);

create temp table stage_products as
select *, row_number() over () + 1 as row_number
from read_csv(getvariable('instacart') || '/products.csv', auto_detect = false, header = true, quote = '"', escape = '"',
    columns = {'product_id': 'integer', 'product_name': 'varchar', 'aisle_id': 'integer', 'department_id': 'integer'},
    store_rejects = true);

create temp table stage_orders as
select *, row_number() over () + 1 as row_number
from read_csv(getvariable('instacart') || '/orders.csv', auto_detect = false, header = true, quote = '"', escape = '"',
    columns = {'order_id': 'integer', 'user_id': 'integer', 'eval_set': 'varchar', 'order_number': 'smallint',
        'order_dow': 'smallint', 'order_hour_of_day': 'smallint', 'days_since_prior_order': 'decimal(5, 1)'},
    store_rejects = true);

create temp table stage_order_products as
select 'order_products__prior' as table_name, *, row_number() over () + 1 as row_number
from read_csv(getvariable('instacart') || '/order_products__prior.csv', auto_detect = false, header = true,
    quote = '"', escape = '"', columns = {'order_id': 'integer', 'product_id': 'integer',
        'add_to_cart_order': 'smallint', 'reordered': 'smallint'}, store_rejects = true)
union all
select 'order_products__train', *, row_number() over () + 1
from read_csv(getvariable('instacart') || '/order_products__train.csv', auto_detect = false, header = true,
    quote = '"', escape = '"', columns = {'order_id': 'integer', 'product_id': 'integer',
        'add_to_cart_order': 'smallint', 'reordered': 'smallint'}, store_rejects = true);

-- Online Retail: stage, its types as text first, since the customer is optional and the dates have a format of their own.

create temp table stage_invoice_lines as
select
    file_name,
    place - min(place) over (partition by file_name) + 2 as row_number,
    upper(trim(invoice_no)) as invoice_no,
    upper(trim(stock_code)) as stock_code,
    nullif(trim(description, ' '), '') as description,
    try_cast(quantity as integer) as quantity,
    try_strptime(invoiced_at, '%m/%d/%Y %H:%M') as invoiced_at,
    try_cast(unit_price as decimal(12, 3)) as unit_price,
    try_cast(customer_id as integer)::varchar as customer_id,
    nullif(trim(country), '') as country
from (
    select *, parse_filename(filename) as file_name, row_number() over () as place
    from read_csv(getvariable('online_retail') || '/*.csv*', auto_detect = false, header = true, quote = '"',
        escape = '"', encoding = 'latin-1', filename = true, store_rejects = true,
        columns = {'invoice_no': 'varchar', 'stock_code': 'varchar', 'description': 'varchar', 'quantity': 'varchar',
            'invoiced_at': 'varchar', 'unit_price': 'varchar', 'customer_id': 'varchar', 'country': 'varchar'})
);

-- Rejected rows: what read_csv could not read, then values outside their domain, duplicates and orphans.

create table audit.rejected_rows (
    source_name varchar, table_name varchar, file_name varchar, row_number integer, reason varchar, detail varchar,
    raw_record varchar
);

insert into audit.rejected_rows
select
    if(columns_text.table_name = 'data', 'online_retail', 'instacart'),
    if(columns_text.table_name = 'data', 'invoice_lines', columns_text.table_name),
    parse_filename(reject_scans.file_path),
    reject_errors.line,
    if(reject_errors.error_type::varchar = 'CAST', 'unreadable_value', 'wrong_field_count'),
    reject_errors.error_message,
    reject_errors.csv_line
from reject_errors
inner join reject_scans using (scan_id, file_id)
cross join lateral (select regexp_extract(reject_scans.file_path, '([a-z_]+)\.csv', 1) as table_name) as columns_text;

insert into audit.rejected_rows
select 'instacart', 'orders', 'orders.csv', row_number, 'out_of_domain', order_id::varchar, null
from stage_orders
where
    order_id is null or user_id is null or eval_set not in ('prior', 'train', 'test') or order_number < 1
    or order_dow not between 0 and 6 or order_hour_of_day not between 0 and 23
    or days_since_prior_order not between 0 and 30
union all
select 'instacart', 'orders', 'orders.csv', row_number, 'duplicate_key', order_id::varchar, null
from (
    select stage_orders.*, row_number() over (partition by order_id order by row_number) as place
    from stage_orders
    semi join (select order_id from stage_orders group by order_id having count(*) > 1) using (order_id)
)
where place > 1;

insert into audit.rejected_rows
select 'online_retail', 'invoice_lines', file_name, row_number, 'unreadable_value', invoice_no, null
from stage_invoice_lines
where
    invoice_no is null or stock_code is null or quantity is null or invoiced_at is null or unit_price is null
    or not regexp_full_match(invoice_no, '[AC]?[0-9]+');

-- The entity-relational schema.

create table instacart.aisles as
select aisle_id, aisle from stage_aisles
qualify row_number() over (partition by aisle_id order by row_number) = 1;

create table instacart.departments as
select department_id, department from stage_departments
qualify row_number() over (partition by department_id order by row_number) = 1;

create table instacart.products as
select product_id, trim(product_name, ' ') as product_name, aisle_id, department_id
from stage_products
semi join instacart.aisles using (aisle_id)
semi join instacart.departments using (department_id)
qualify row_number() over (partition by product_id order by row_number) = 1;

create table instacart.orders as
select
    order_id, user_id, eval_set, order_number, order_dow, order_hour_of_day,
    days_since_prior_order::smallint as days_since_prior_order
from stage_orders
where not exists (
    from audit.rejected_rows where table_name = 'orders' and rejected_rows.row_number = stage_orders.row_number
);

insert into audit.rejected_rows
select 'instacart', table_name, table_name || '.csv', row_number, 'duplicate_key', order_id::varchar, null
from (
    select
        stage_order_products.*,
        row_number() over (partition by order_id, product_id order by table_name, row_number) as place
    from stage_order_products
    semi join (
        select order_id, product_id from stage_order_products group by all having count(*) > 1
    ) using (order_id, product_id)
)
where place > 1
union all
select 'instacart', table_name, table_name || '.csv', row_number, 'missing_parent', order_id::varchar, null
from stage_order_products
where
    order_id not in (select order_id from instacart.orders)
    or product_id not in (select product_id from instacart.products)
union all
select 'instacart', table_name, table_name || '.csv', row_number, 'out_of_domain', order_id::varchar, null
from stage_order_products
where order_id is null or product_id is null or add_to_cart_order < 1 or reordered not in (0, 1);

create table instacart.order_products as
select order_id, product_id, add_to_cart_order, reordered
from stage_order_products
where not exists (
    from audit.rejected_rows
    where
        rejected_rows.table_name = stage_order_products.table_name
        and rejected_rows.row_number = stage_order_products.row_number
);

create table instacart.users as
select
    user_id,
    count(*)::integer as order_count,
    coalesce(sum(days_since_prior_order), 0)::integer as days_span
from instacart.orders
group by user_id;

create table instacart.fct_orders as
with baskets as (
    select order_id, count(*) as basket_size, sum(reordered) as reordered_items
    from instacart.order_products
    group by order_id
)
select
    orders.*,
    basket_size::integer as basket_size,
    reordered_items::integer as reordered_items,
    (reordered_items::decimal(18, 6) / basket_size)::decimal(7, 6) as reorder_share
from instacart.orders
left join baskets using (order_id);

create view instacart.fct_order_items as
select
    order_id, product_id, user_id, aisle_id, department_id, eval_set, product_name, aisle, department, order_number,
    order_dow, order_hour_of_day, days_since_prior_order, add_to_cart_order, reordered
from instacart.order_products
inner join instacart.orders using (order_id)
inner join instacart.products using (product_id)
inner join instacart.aisles using (aisle_id)
inner join instacart.departments using (department_id);

-- Online Retail.

create table reference.service_stock_codes as
from read_csv('seeds/reference/service_stock_codes.csv', all_varchar = true);

create table online_retail.invoice_lines as
select
    file_name || ':' || row_number as invoice_line_id,
    invoice_no,
    stock_code,
    coalesce(customer_id, 'Unknown') as customer_id,
    description,
    coalesce(country, 'Unspecified') as country,
    case
        when invoice_no like 'C%' then 'cancellation'
        when invoice_no like 'A%' then 'bad_debt'
        when quantity <= 0 then 'stock_adjustment'
        when unit_price <= 0 then 'free_item'
        else 'sale'
    end as transaction_type,
    quantity,
    unit_price,
    (quantity * unit_price)::decimal(18, 3) as line_amount,
    row_number() over (
        partition by invoice_no, stock_code, description, quantity, invoiced_at, unit_price, customer_id, country
        order by file_name, row_number
    ) > 1 as is_exact_duplicate,
    stock_code not in (select stock_code from reference.service_stock_codes) as is_product,
    invoiced_at,
    file_name,
    row_number::integer as row_number
from stage_invoice_lines
where not exists (
    from audit.rejected_rows
    where
        rejected_rows.file_name = stage_invoice_lines.file_name
        and rejected_rows.row_number = stage_invoice_lines.row_number
);

create table online_retail.fct_sales as
select
    invoice_line_id, invoice_no, stock_code, customer_id, description, country, quantity, unit_price, line_amount,
    is_exact_duplicate, is_product, invoiced_at::date as invoice_date, invoiced_at, file_name, row_number
from online_retail.invoice_lines
where transaction_type = 'sale';

create table online_retail.fct_cancellations as
select
    invoice_line_id, invoice_no, stock_code, customer_id, description, country, quantity, unit_price, line_amount,
    is_exact_duplicate, is_product, invoiced_at::date as invoice_date, invoiced_at, file_name, row_number
from online_retail.invoice_lines
where transaction_type = 'cancellation';

create table online_retail.invoices as
select
    invoice_no,
    case
        when bool_or(transaction_type = 'cancellation') then 'cancellation'
        when bool_or(transaction_type = 'bad_debt') then 'bad_debt'
        when bool_or(transaction_type = 'sale') then 'sale'
        when bool_or(transaction_type = 'free_item') then 'free_item'
        else 'stock_adjustment'
    end as transaction_type,
    min(customer_id) as customer_id,
    min(country) as country,
    min(invoiced_at) as invoiced_at,
    count(*)::integer as line_count,
    sum(quantity)::bigint as quantity,
    sum(line_amount)::decimal(38, 3) as amount
from online_retail.invoice_lines
group by invoice_no;

create table online_retail.customers as
select
    customer_id,
    if(customer_id = 'Unknown', null, arg_max(country, (invoiced_at, file_name, row_number))) as country,
    count(distinct country)::integer as country_count,
    (count(distinct invoice_no) filter (transaction_type = 'sale'))::integer as sale_invoice_count,
    coalesce(sum(line_amount) filter (transaction_type = 'sale'), 0)::decimal(38, 3) as sale_amount,
    min(invoiced_at) as first_invoiced_at,
    max(invoiced_at) as last_invoiced_at
from online_retail.invoice_lines
group by customer_id;

create table online_retail.stock_items as
with descriptions as (
    select
        stock_code,
        description,
        count(*) filter (transaction_type = 'sale') as sale_lines,
        count(*) as all_lines,
        max(invoiced_at) filter (transaction_type = 'sale') as last_sold_at,
        max(invoiced_at) as last_invoiced_at
    from online_retail.invoice_lines
    where description is not null
    group by stock_code, description
),
best as (
    select stock_code, description
    from descriptions
    qualify row_number() over (
        partition by stock_code
        order by sale_lines > 0 desc, if(sale_lines > 0, sale_lines, all_lines) desc,
            if(sale_lines > 0, last_sold_at, last_invoiced_at) desc, description
    ) = 1
)
select stock_code, best.description, bool_and(is_product) as is_product
from online_retail.invoice_lines
left join best using (stock_code)
group by stock_code, best.description;

create table online_retail.transactions as
select
    invoice_no,
    stock_code,
    count(*)::integer as line_count,
    sum(quantity)::bigint as quantity,
    sum(line_amount)::decimal(38, 3) as amount,
    coalesce(sum(quantity) filter (transaction_type = 'sale'), 0)::bigint as sale_quantity,
    coalesce(sum(line_amount) filter (transaction_type = 'sale'), 0)::decimal(38, 3) as sale_amount,
    arg_min(unit_price, (file_name, row_number)) as first_unit_price,
    arg_max(unit_price, (file_name, row_number)) as last_unit_price
from online_retail.invoice_lines
group by invoice_no, stock_code;

create table online_retail.fct_daily_sales as
with sales as (
    select
        invoice_date,
        country,
        sum(line_amount) as gross_amount,
        count(distinct invoice_no) as invoice_count,
        count(distinct nullif(customer_id, 'Unknown')) as customer_count,
        sum(quantity) as unit_count
    from online_retail.fct_sales
    group by all
),
cancellations as (
    select invoice_date, country, sum(line_amount) as cancellation_amount
    from online_retail.fct_cancellations
    group by all
)
select
    invoice_date,
    country,
    coalesce(gross_amount, 0)::decimal(38, 3) as gross_amount,
    coalesce(cancellation_amount, 0)::decimal(38, 3) as cancellation_amount,
    (coalesce(gross_amount, 0) + coalesce(cancellation_amount, 0))::decimal(38, 3) as net_amount,
    coalesce(invoice_count, 0)::integer as invoice_count,
    coalesce(customer_count, 0)::integer as customer_count,
    coalesce(unit_count, 0)::bigint as unit_count
from sales
full join cancellations using (invoice_date, country);

create table reference.dim_dates as
select
    day::date as date_day,
    year(day)::smallint as year_number,
    quarter(day)::smallint as quarter_number,
    month(day)::smallint as month_number,
    day(day)::smallint as day_of_month,
    isodow(day)::smallint as iso_day_of_week,
    date_trunc('month', day)::date as month_start_date,
    isodow(day) > 5 as is_weekend
from (
    select unnest(generate_series(
        date_trunc('year', min(invoiced_at)), date_trunc('year', max(invoiced_at)) + interval 1 year - interval 1 day,
        interval 1 day
    )) as day
    from online_retail.invoice_lines
);

create table audit.row_reconciliation as
with raw_counts as (
    select 'instacart' as source_name, 'aisles' as table_name, 'aisles.csv' as file_name, count(*) as stage_rows
    from stage_aisles
    union all
    select 'instacart', 'departments', 'departments.csv', count(*) from stage_departments
    union all
    select 'instacart', 'products', 'products.csv', count(*) from stage_products
    union all
    select 'instacart', 'orders', 'orders.csv', count(*) from stage_orders
    union all
    select 'instacart', table_name, table_name || '.csv', count(*) from stage_order_products group by all
    union all
    select 'online_retail', 'invoice_lines', file_name, count(*) from stage_invoice_lines group by all
),
rejected_counts as (
    select source_name, table_name, file_name, count(distinct row_number) as rejected_rows
    from audit.rejected_rows
    group by all
)
select
    source_name,
    table_name,
    file_name,
    stage_rows as raw_rows,
    stage_rows - coalesce(rejected_rows, 0) as accepted_rows,
    coalesce(rejected_rows, 0) as rejected_rows
from raw_counts
left join rejected_counts using (source_name, table_name, file_name);

-- Reports.

create schema reports;

create temp macro share(part, whole) as ((part::hugeint * 2000000 + whole) // (2 * nullif(whole, 0)))::decimal(18, 0) * 0.000001;
create temp macro mean(part, whole) as ((part::hugeint * 20000 + whole) // (2 * nullif(whole, 0)))::decimal(18, 0) * 0.0001;

create temp table covered as
select min(invoiced_at)::date as first_date, max(invoiced_at)::date as last_date from online_retail.invoice_lines;

create temp table sales_by_month as
select *, date_trunc('month', invoice_date)::date as sales_month from online_retail.fct_sales;

create temp table first_sales as
select customer_id, min(sales_month) as cohort_month
from sales_by_month
where customer_id <> 'Unknown'
group by customer_id;

create temp table months as
select
    month_start_date as sales_month,
    min(date_day) >= first_date and max(date_day) <= last_date as is_complete_month
from reference.dim_dates
cross join covered
group by month_start_date, first_date, last_date
having max(date_day) >= first_date and min(date_day) <= last_date;

create table reports.rpt_monthly_sales as
with sales as (
    select
        sales_month,
        country,
        sum(line_amount) as gross_amount,
        sum(quantity) as units,
        count(distinct invoice_no) as invoice_count,
        count(distinct first_sales.customer_id) as customer_count,
        count(distinct first_sales.customer_id) filter (cohort_month = sales_month) as new_customer_count
    from sales_by_month
    left join first_sales using (customer_id)
    group by sales_month, country
),
cancellations as (
    select date_trunc('month', invoice_date)::date as sales_month, country, sum(line_amount) as cancellation_amount
    from online_retail.fct_cancellations
    group by all
)
select
    sales_month,
    country,
    coalesce(gross_amount, 0)::decimal(18, 3) as gross_amount,
    coalesce(cancellation_amount, 0)::decimal(18, 3) as cancellation_amount,
    (coalesce(gross_amount, 0) + coalesce(cancellation_amount, 0))::decimal(18, 3) as net_amount,
    coalesce(units, 0)::bigint as units,
    coalesce(invoice_count, 0)::integer as invoice_count,
    coalesce(customer_count, 0)::integer as customer_count,
    coalesce(new_customer_count, 0)::integer as new_customer_count,
    coalesce(customer_count - new_customer_count, 0)::integer as returning_customer_count,
    is_complete_month
from sales
full join cancellations using (sales_month, country)
inner join months using (sales_month);

create table reports.rpt_monthly_totals as
with sales as (
    select
        sales_month,
        sum(line_amount) as gross_amount,
        sum(quantity) as units,
        count(*) as line_count,
        count(distinct invoice_no) as invoice_count,
        count(distinct nullif(customer_id, 'Unknown')) as customer_count,
        count(distinct first_sales.customer_id) filter (cohort_month = sales_month) as new_customer_count
    from sales_by_month
    left join first_sales using (customer_id)
    group by sales_month
),
cancellations as (
    select date_trunc('month', invoice_date)::date as sales_month, sum(line_amount) as cancellation_amount
    from online_retail.fct_cancellations
    group by all
)
select
    sales_month,
    coalesce(gross_amount, 0)::decimal(18, 3) as gross_amount,
    coalesce(cancellation_amount, 0)::decimal(18, 3) as cancellation_amount,
    (coalesce(gross_amount, 0) + coalesce(cancellation_amount, 0))::decimal(18, 3) as net_amount,
    share((1000 * -least(coalesce(cancellation_amount, 0), 0))::hugeint, (1000 * gross_amount)::hugeint)
        ::decimal(18, 6) as cancellation_rate,
    coalesce(units, 0)::bigint as units,
    coalesce(line_count, 0)::integer as line_count,
    coalesce(invoice_count, 0)::integer as invoice_count,
    (((2000 * gross_amount)::hugeint + invoice_count) // (2 * invoice_count))::decimal(18, 0) * 0.001
        as average_invoice_value,
    mean(line_count, invoice_count)::decimal(12, 4) as lines_per_invoice,
    coalesce(customer_count, 0)::integer as customer_count,
    coalesce(new_customer_count, 0)::integer as new_customer_count,
    coalesce(customer_count - new_customer_count, 0)::integer as returning_customer_count,
    is_complete_month
from months
left join sales using (sales_month)
left join cancellations using (sales_month);

create table reports.rpt_customer_rfm as
with customers as (
    select
        customer_id,
        min(invoice_date) as first_sale_date,
        max(invoice_date) as last_sale_date,
        (select max(invoice_date) from online_retail.fct_sales) - max(invoice_date) + 1 as recency_days,
        count(distinct invoice_no) as frequency,
        sum(line_amount) as monetary
    from online_retail.fct_sales
    where customer_id <> 'Unknown'
    group by customer_id
),
scored as (
    select
        *,
        6 - ntile(5) over (order by recency_days, customer_id) as r,
        ntile(5) over (order by frequency, customer_id) as f,
        ntile(5) over (order by monetary, customer_id) as m
    from customers
)
select
    customer_id, first_sale_date, last_sale_date, recency_days::integer as recency_days, frequency::integer as frequency,
    monetary::decimal(18, 3) as monetary, r::smallint as recency_score, f::smallint as frequency_score,
    m::smallint as monetary_score,
    case
        when r <= 2 then if(f = 5, 'cannot lose', if(f >= 3, 'at risk', 'hibernating'))
        when f >= 4 then if(r = 5, 'champions', 'loyal')
        when r = 3 then if(f = 3, 'need attention', 'about to sleep')
        when f = 1 then if(r = 4, 'promising', 'new')
        else 'potential loyalists'
    end as segment
from scored;

create table reports.rpt_cohort_retention as
with sales as (
    select cohort_month, sales_month, count(distinct customer_id) as active_customers, sum(line_amount) as sales_amount
    from sales_by_month
    inner join first_sales using (customer_id)
    group by all
),
cohorts as (
    select cohort_month, count(*) as cohort_size from first_sales group by cohort_month
)
select
    cohort_month,
    date_diff('month', cohort_month, sales_month)::integer as months_since_first,
    sales_month,
    cohort_size::integer as cohort_size,
    coalesce(active_customers, 0)::integer as active_customers,
    share(coalesce(active_customers, 0), cohort_size)::decimal(7, 6) as retention,
    coalesce(sales_amount, 0)::decimal(18, 3) as sales_amount,
    is_complete_month
from cohorts
inner join months on cohort_month <= sales_month
left join sales using (cohort_month, sales_month);

create table reports.rpt_stock_item_performance as
with sales as (
    select
        stock_code,
        sum(line_amount) as sales_amount,
        sum(quantity) as units_sold,
        count(distinct invoice_no) as invoice_count,
        count(distinct nullif(customer_id, 'Unknown')) as customer_count,
        min(invoice_date) as first_sale_date,
        max(invoice_date) as last_sale_date
    from online_retail.fct_sales
    group by stock_code
),
cancellations as (
    select stock_code, sum(line_amount) as cancellation_amount, -sum(quantity) as units_cancelled
    from online_retail.fct_cancellations
    group by stock_code
),
ranked as (
    select
        stock_code,
        row_number() over best_first as sales_rank,
        (1000 * sum(sales_amount) over best_first)::hugeint as cumulative_amount,
        (1000 * sum(sales_amount) over ())::hugeint as products_amount
    from sales
    semi join (from online_retail.stock_items where is_product) using (stock_code)
    window best_first as (order by sales_amount desc, stock_code rows unbounded preceding)
)
select
    stock_code,
    description,
    is_product,
    coalesce(sales_amount, 0)::decimal(18, 3) as sales_amount,
    coalesce(cancellation_amount, 0)::decimal(18, 3) as cancellation_amount,
    (coalesce(sales_amount, 0) + coalesce(cancellation_amount, 0))::decimal(18, 3) as net_amount,
    share((1000 * -least(coalesce(cancellation_amount, 0), 0))::hugeint, (1000 * sales_amount)::hugeint)
        ::decimal(18, 6) as cancelled_share,
    coalesce(units_sold, 0)::bigint as units_sold,
    coalesce(units_cancelled, 0)::bigint as units_cancelled,
    coalesce(invoice_count, 0)::integer as invoice_count,
    coalesce(customer_count, 0)::integer as customer_count,
    first_sale_date,
    last_sale_date,
    sales_rank::integer as sales_rank,
    share(cumulative_amount, products_amount)::decimal(7, 6) as cumulative_sales_share
from sales
full join cancellations using (stock_code)
inner join online_retail.stock_items using (stock_code)
left join ranked using (stock_code);

create table reports.rpt_stock_item_pairs as
with baskets as (
    select distinct invoice_no, stock_code from online_retail.fct_sales where is_product
),
items as (
    select stock_code, (row_number() over (order by stock_code))::integer as item_number, count(*) as basket_count
    from baskets
    group by stock_code
    having count(*) >= 20
),
lines as (
    select invoice_no, item_number from baskets inner join items using (stock_code)
),
pairs as (
    select lines.item_number as a, partners.item_number as b, count(*) as basket_count
    from lines
    inner join lines as partners on lines.invoice_no = partners.invoice_no and lines.item_number < partners.item_number
    group by all
    having count(*) >= 20
)
select
    items_a.stock_code as stock_code_a,
    items_b.stock_code as stock_code_b,
    stock_items_a.description as description_a,
    stock_items_b.description as description_b,
    items_a.basket_count::integer as baskets_a,
    items_b.basket_count::integer as baskets_b,
    pairs.basket_count::integer as baskets_with_both,
    share(pairs.basket_count, total.n)::decimal(7, 6) as support,
    share(pairs.basket_count, items_a.basket_count)::decimal(7, 6) as confidence_a_to_b,
    share(pairs.basket_count, items_b.basket_count)::decimal(7, 6) as confidence_b_to_a,
    share(pairs.basket_count * total.n, items_a.basket_count * items_b.basket_count)::decimal(12, 6) as lift
from pairs
inner join items as items_a on a = items_a.item_number
inner join items as items_b on b = items_b.item_number
inner join online_retail.stock_items as stock_items_a on items_a.stock_code = stock_items_a.stock_code
inner join online_retail.stock_items as stock_items_b on items_b.stock_code = stock_items_b.stock_code
cross join (select count(distinct invoice_no) as n from baskets) as total;

create temp table order_total as
select count(basket_size) as n from instacart.fct_orders;

create table reports.rpt_product_performance as
with bought as (
    select
        product_id,
        user_id,
        count(*) as order_count,
        sum(reordered) as reordered_items,
        count_if(add_to_cart_order = 1) as first_in_cart_count,
        sum(add_to_cart_order) as cart_positions
    from instacart.order_products
    inner join instacart.orders using (order_id)
    group by all
),
measured as (
    select
        product_id,
        count(*) as user_count,
        count_if(order_count > 1) as repeat_user_count,
        sum(order_count) as order_count,
        sum(reordered_items) as reordered_items,
        sum(first_in_cart_count) as first_in_cart_count,
        sum(cart_positions) as cart_positions
    from bought
    group by product_id
)
select
    product_id,
    product_name,
    aisle,
    department,
    coalesce(order_count, 0)::integer as order_count,
    share(coalesce(order_count, 0), n)::decimal(7, 6) as order_share,
    coalesce(user_count, 0)::integer as user_count,
    coalesce(repeat_user_count, 0)::integer as repeat_user_count,
    share(reordered_items, order_count)::decimal(7, 6) as reorder_share,
    share(first_in_cart_count, order_count)::decimal(7, 6) as first_in_cart_share,
    mean(cart_positions, order_count)::decimal(9, 4) as mean_cart_position
from instacart.products
inner join instacart.aisles using (aisle_id)
inner join instacart.departments using (department_id)
left join measured using (product_id)
cross join order_total;

create table reports.rpt_department_performance as
with measured as (
    select
        department_id,
        count(distinct order_id) as order_count,
        count(distinct user_id) as user_count,
        count(distinct product_id) as product_count,
        count(*) as item_count,
        sum(reordered) as reordered_items
    from instacart.order_products
    inner join instacart.orders using (order_id)
    inner join instacart.products using (product_id)
    group by department_id
)
select
    department_id,
    department,
    coalesce(order_count, 0)::integer as order_count,
    share(coalesce(order_count, 0), n)::decimal(7, 6) as order_share,
    coalesce(user_count, 0)::integer as user_count,
    coalesce(product_count, 0)::integer as product_count,
    coalesce(item_count, 0)::bigint as item_count,
    share(coalesce(item_count, 0), (select sum(item_count) from measured))::decimal(7, 6) as item_share,
    share(reordered_items, item_count)::decimal(7, 6) as reorder_share
from instacart.departments
left join measured using (department_id)
cross join order_total;

create table reports.rpt_aisle_performance as
with measured as (
    select
        aisle_id,
        count(distinct order_id) as order_count,
        count(distinct user_id) as user_count,
        count(distinct product_id) as product_count,
        count(*) as item_count,
        sum(reordered) as reordered_items
    from instacart.order_products
    inner join instacart.orders using (order_id)
    inner join instacart.products using (product_id)
    group by aisle_id
)
select
    aisle_id,
    aisle,
    coalesce(order_count, 0)::integer as order_count,
    share(coalesce(order_count, 0), n)::decimal(7, 6) as order_share,
    coalesce(user_count, 0)::integer as user_count,
    coalesce(product_count, 0)::integer as product_count,
    coalesce(item_count, 0)::bigint as item_count,
    share(coalesce(item_count, 0), (select sum(item_count) from measured))::decimal(7, 6) as item_share,
    share(reordered_items, item_count)::decimal(7, 6) as reorder_share
from instacart.aisles
left join measured using (aisle_id)
cross join order_total;

create table reports.rpt_order_times as
select
    order_dow,
    order_hour_of_day,
    count(*)::integer as order_count,
    count(basket_size)::integer as orders_with_lines,
    share(count(basket_size), any_value(n))::decimal(7, 6) as order_share,
    coalesce(sum(basket_size), 0)::bigint as item_count,
    coalesce(sum(reordered_items), 0)::bigint as reordered_items,
    mean(sum(basket_size), count(basket_size))::decimal(9, 4) as mean_basket_size,
    share(sum(reordered_items), sum(basket_size))::decimal(7, 6) as reorder_share
from instacart.fct_orders
cross join order_total
group by order_dow, order_hour_of_day;

create table reports.rpt_order_gaps as
select
    days_since_prior_order,
    days_since_prior_order = 30 as is_30_or_more,
    count(*)::integer as order_count,
    count(basket_size)::integer as orders_with_lines,
    share(count(basket_size), any_value(n))::decimal(7, 6) as order_share,
    mean(sum(basket_size), count(basket_size))::decimal(9, 4) as mean_basket_size,
    share(sum(reordered_items), sum(basket_size))::decimal(7, 6) as reorder_share
from instacart.fct_orders
cross join order_total
where days_since_prior_order is not null
group by days_since_prior_order;

create table reports.rpt_order_sequence as
select
    order_number,
    count(distinct user_id)::integer as user_count,
    share(count(distinct user_id), (select count(*) from instacart.users))::decimal(7, 6) as user_share,
    count(basket_size)::integer as orders_with_lines,
    mean(sum(basket_size), count(basket_size))::decimal(9, 4) as mean_basket_size,
    share(sum(reordered_items), sum(basket_size))::decimal(7, 6) as reorder_share,
    share(sum(basket_size) - sum(reordered_items), sum(basket_size))::decimal(7, 6) as new_product_share,
    mean(sum(basket_size) - sum(reordered_items), count(basket_size))::decimal(9, 4) as mean_new_products
from instacart.fct_orders
group by order_number;

create table reports.rpt_basket_sizes as
select
    basket_size,
    count(*)::integer as order_count,
    share(count(*), any_value(n))::decimal(7, 6) as order_share,
    share(sum(reordered_items), sum(basket_size))::decimal(7, 6) as reorder_share
from instacart.fct_orders
cross join order_total
where basket_size is not null
group by basket_size;

create table reports.rpt_user_segments as
with measured as (
    select
        user_id,
        count(*)::integer as order_count,
        count(basket_size)::integer as orders_with_lines,
        coalesce(sum(basket_size), 0)::integer as item_count,
        mean(sum(basket_size), count(basket_size))::decimal(9, 4) as mean_basket_size,
        share(
            sum(reordered_items) filter (order_number > 1), sum(basket_size) filter (order_number > 1)
        )::decimal(7, 6) as reorder_share,
        mean(sum(days_since_prior_order), count(days_since_prior_order))::decimal(9, 4) as mean_days_between_orders
    from instacart.fct_orders
    group by user_id
)
select
    *,
    case
        when reorder_share is null or mean_days_between_orders is null then 'newcomers'
        when mean_days_between_orders <= 14 then if(reorder_share >= 0.5, 'regulars', 'explorers')
        when reorder_share >= 0.5 then 'restockers'
        else 'occasional'
    end as segment
from measured;

create table reports.rpt_product_pairs as
with counted as (
    select product_id, count(*) as order_count
    from instacart.order_products
    group by product_id
    having count(*) >= (select floor(n * 0.0003) from order_total)
),
lines as (
    select order_id, product_id from instacart.order_products semi join counted using (product_id)
),
pairs as (
    select lines.product_id as a, partners.product_id as b, count(*) as order_count
    from lines
    inner join lines as partners on lines.order_id = partners.order_id and lines.product_id < partners.product_id
    group by all
    having count(*) >= (select greatest(floor(n * 0.00003), 5) from order_total)
)
select
    a as product_id_a,
    b as product_id_b,
    products_a.product_name as product_name_a,
    products_b.product_name as product_name_b,
    orders_a.order_count::integer as orders_a,
    orders_b.order_count::integer as orders_b,
    pairs.order_count::integer as orders_with_both,
    share(pairs.order_count, n)::decimal(7, 6) as support,
    share(pairs.order_count, orders_a.order_count)::decimal(7, 6) as confidence_a_to_b,
    share(pairs.order_count, orders_b.order_count)::decimal(7, 6) as confidence_b_to_a,
    share(pairs.order_count * n, orders_a.order_count * orders_b.order_count)::decimal(12, 6) as lift
from pairs
inner join counted as orders_a on a = orders_a.product_id
inner join counted as orders_b on b = orders_b.product_id
inner join instacart.products as products_a on a = products_a.product_id
inner join instacart.products as products_b on b = products_b.product_id
cross join order_total;
