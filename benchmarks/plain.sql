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
