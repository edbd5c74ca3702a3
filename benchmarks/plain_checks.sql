-- The checks of the baseline: each query returns how many times a rule is broken. Rules on one table share a scan, and
-- each rule is checked once, on the table that people read.

-- Keys are unique.
select count(*) from (select aisle_id from instacart.aisles group by all having count(*) > 1);
select count(*) from (select department_id from instacart.departments group by all having count(*) > 1);
select count(*) from (select product_id from instacart.products group by all having count(*) > 1);
select count(*) from (select user_id from instacart.users group by all having count(*) > 1);
select count(*) from (select order_id from instacart.orders group by all having count(*) > 1);
select count(*) from (select order_id, product_id from instacart.order_products group by all having count(*) > 1);
select count(*) from (select order_id, product_id from instacart.fct_order_items group by all having count(*) > 1);
select count(*) from (select order_id from instacart.fct_orders group by all having count(*) > 1);
select count(*) from (select invoice_line_id from online_retail.invoice_lines group by all having count(*) > 1);
select count(*) from (select invoice_line_id from online_retail.fct_sales group by all having count(*) > 1);
select count(*) from (select invoice_line_id from online_retail.fct_cancellations group by all having count(*) > 1);
select count(*) from (select invoice_no from online_retail.invoices group by all having count(*) > 1);
select count(*) from (select customer_id from online_retail.customers group by all having count(*) > 1);
select count(*) from (select stock_code from online_retail.stock_items group by all having count(*) > 1);
select count(*) from (select invoice_no, stock_code from online_retail.transactions group by all having count(*) > 1);
select count(*) from (select invoice_date, country from online_retail.fct_daily_sales group by all having count(*) > 1);
select count(*) from (select date_day from reference.dim_dates group by all having count(*) > 1);

-- Foreign keys.
select count(*) from instacart.products anti join instacart.aisles using (aisle_id);
select count(*) from instacart.products anti join instacart.departments using (department_id);
select count(*) from instacart.orders anti join instacart.users using (user_id);
select count(*) from instacart.order_products anti join instacart.orders using (order_id);
select count(*) from instacart.order_products anti join instacart.products using (product_id);
select count(*) from instacart.fct_order_items anti join instacart.orders using (order_id);
select count(*) from instacart.fct_order_items anti join instacart.products using (product_id);
select count(*) from instacart.fct_order_items anti join instacart.users using (user_id);
select count(*) from instacart.fct_order_items anti join instacart.aisles using (aisle_id);
select count(*) from instacart.fct_order_items anti join instacart.departments using (department_id);
select count(*) from instacart.fct_orders anti join instacart.orders using (order_id);
select count(*) from instacart.fct_orders anti join instacart.users using (user_id);
select count(*) from online_retail.invoice_lines anti join online_retail.invoices using (invoice_no);
select count(*) from online_retail.invoice_lines anti join online_retail.stock_items using (stock_code);
select count(*) from online_retail.invoice_lines anti join online_retail.customers using (customer_id);
select count(*) from online_retail.fct_sales anti join online_retail.invoice_lines using (invoice_line_id);
select count(*) from online_retail.fct_sales anti join reference.dim_dates on date_day = invoice_date;
select count(*) from online_retail.fct_cancellations anti join online_retail.invoice_lines using (invoice_line_id);
select count(*) from online_retail.fct_cancellations anti join reference.dim_dates on date_day = invoice_date;
select count(*) from online_retail.invoices anti join online_retail.customers using (customer_id);
select count(*) from online_retail.transactions anti join online_retail.invoices using (invoice_no);
select count(*) from online_retail.transactions anti join online_retail.stock_items using (stock_code);
select count(*) from online_retail.fct_daily_sales anti join reference.dim_dates on date_day = invoice_date;

-- Values: nulls, ranges, lists.
select count_if(aisle_id is null or aisle is null) from instacart.aisles;
select count_if(department_id is null or department is null) from instacart.departments;
select count_if(product_id is null or product_name is null or aisle_id is null or department_id is null)
from instacart.products;
select count_if(user_id is null or order_count is null or order_count < 1 or days_span is null or days_span < 0)
from instacart.users;
select count_if(
    order_id is null or user_id is null or eval_set is null or eval_set not in ('prior', 'train', 'test')
    or order_number is null or order_number < 1 or order_dow is null or order_dow not between 0 and 6
    or order_hour_of_day is null or order_hour_of_day not between 0 and 23 or days_since_prior_order not between 0 and 30
)
from instacart.orders;
select count_if(
    order_id is null or product_id is null or add_to_cart_order is null or add_to_cart_order < 1
    or reordered is null or reordered not in (0, 1)
)
from instacart.order_products;
select count_if(
    order_id is null or product_id is null or user_id is null or aisle_id is null or department_id is null
    or eval_set not in ('prior', 'train', 'test')
)
from instacart.fct_order_items;
select count_if(
    order_id is null or user_id is null or eval_set is null or order_number is null or order_number < 1
    or order_dow is null or order_dow not between 0 and 6 or order_hour_of_day is null
    or order_hour_of_day not between 0 and 23 or days_since_prior_order not between 0 and 30 or basket_size < 1
    or reordered_items < 0 or reorder_share not between 0 and 1
)
from instacart.fct_orders;
select count_if(
    invoice_line_id is null or invoice_no is null or stock_code is null or customer_id is null or country is null
    or transaction_type not in ('sale', 'cancellation', 'bad_debt', 'stock_adjustment', 'free_item')
    or quantity is null or unit_price is null or line_amount is null or is_exact_duplicate is null
    or is_product is null or invoiced_at is null or file_name is null or row_number is null
)
from online_retail.invoice_lines;
select count_if(
    quantity is null or quantity < 1 or unit_price is null or unit_price < 0 or line_amount is null
    or invoice_no like 'C%' or invoice_no like 'A%' or customer_id is null or stock_code is null or country is null
)
from online_retail.fct_sales;
select count_if(quantity is null or unit_price is null or line_amount is null or customer_id is null or country is null)
from online_retail.fct_cancellations;
select count_if(
    transaction_type is null or customer_id is null or country is null or invoiced_at is null or line_count < 1
    or quantity is null or amount is null
)
from online_retail.invoices;
select count_if(country_count < 0 or sale_invoice_count < 0 or sale_amount < 0) from online_retail.customers;
select count_if(stock_code is null or is_product is null) from online_retail.stock_items;
select count_if(
    line_count < 1 or quantity is null or amount is null or sale_quantity < 0 or sale_amount < 0
    or first_unit_price is null or last_unit_price is null
)
from online_retail.transactions;
select count_if(gross_amount < 0 or cancellation_amount > 0 or net_amount is null or unit_count < 0)
from online_retail.fct_daily_sales;

-- Histories.
select count(*) from (
    select user_id from instacart.orders
    group by user_id
    having min(order_number) <> 1 or max(order_number) <> count(*) or count(distinct order_number) <> count(*)
);
select count_if((order_number = 1) <> (days_since_prior_order is null)) from instacart.orders;
select count(*) from (
    select order_id from instacart.order_products
    group by order_id
    having min(add_to_cart_order) <> 1 or max(add_to_cart_order) <> count(*)
        or count(distinct add_to_cart_order) <> count(*)
);
select count(*) from (
    select user_id, product_id
    from instacart.order_products
    inner join instacart.orders using (order_id)
    group by user_id, product_id
    having sum(1 - reordered) <> 1 or min(order_number) filter (reordered = 0) <> min(order_number)
);
select count_if(eval_set = 'test' and basket_size is not null) from instacart.fct_orders;

-- Totals.
select count_if(raw_rows <> accepted_rows + rejected_rows) from audit.row_reconciliation;
select (select sum(accepted_rows) from audit.row_reconciliation where table_name like 'order_products%')
    - (select count(*) from instacart.order_products);
select (select sum(accepted_rows) from audit.row_reconciliation where table_name = 'orders')
    - (select count(*) from instacart.orders);
select (select sum(accepted_rows) from audit.row_reconciliation where table_name = 'invoice_lines')
    - (select count(*) from online_retail.invoice_lines);
select (select sum(order_count) from instacart.users) - (select count(*) from instacart.orders);
select (select count(*) from instacart.fct_orders) - (select count(*) from instacart.orders);
select (select sum(basket_size) from instacart.fct_orders) - (select count(*) from instacart.order_products);
select (select sum(reordered_items) from instacart.fct_orders) - (select sum(reordered) from instacart.order_products);
select (select count(*) from instacart.fct_order_items) - (select count(*) from instacart.order_products);
select (select sum(line_amount) from online_retail.fct_sales) - (select sum(gross_amount) from online_retail.fct_daily_sales);
select (select sum(line_amount) from online_retail.fct_sales) - (select sum(sale_amount) from online_retail.transactions);
select (select sum(line_amount) from online_retail.fct_sales) - (select sum(sale_amount) from online_retail.customers);
select (select sum(line_amount) from online_retail.fct_cancellations)
    - (select sum(cancellation_amount) from online_retail.fct_daily_sales);
select (select sum(line_amount) from online_retail.invoice_lines) - (select sum(amount) from online_retail.invoices);

-- Reports: keys, foreign keys, values, totals.
select count(*) from (select sales_month, country from reports.rpt_monthly_sales group by all having count(*) > 1);
select count(*) from (select sales_month from reports.rpt_monthly_totals group by all having count(*) > 1);
select count(*) from (select customer_id from reports.rpt_customer_rfm group by all having count(*) > 1);
select count(*) from (select cohort_month, months_since_first from reports.rpt_cohort_retention group by all having count(*) > 1);
select count(*) from (select stock_code from reports.rpt_stock_item_performance group by all having count(*) > 1);
select count(*) from (select stock_code_a, stock_code_b from reports.rpt_stock_item_pairs group by all having count(*) > 1);
select count(*) from (select product_id from reports.rpt_product_performance group by all having count(*) > 1);
select count(*) from (select department_id from reports.rpt_department_performance group by all having count(*) > 1);
select count(*) from (select aisle_id from reports.rpt_aisle_performance group by all having count(*) > 1);
select count(*) from (select order_dow, order_hour_of_day from reports.rpt_order_times group by all having count(*) > 1);
select count(*) from (select days_since_prior_order from reports.rpt_order_gaps group by all having count(*) > 1);
select count(*) from (select order_number from reports.rpt_order_sequence group by all having count(*) > 1);
select count(*) from (select basket_size from reports.rpt_basket_sizes group by all having count(*) > 1);
select count(*) from (select user_id from reports.rpt_user_segments group by all having count(*) > 1);
select count(*) from (select product_id_a, product_id_b from reports.rpt_product_pairs group by all having count(*) > 1);
select count(*) from reports.rpt_customer_rfm anti join online_retail.customers using (customer_id);
select count(*) from reports.rpt_stock_item_performance anti join online_retail.stock_items using (stock_code);
select count(*) from reports.rpt_stock_item_pairs anti join online_retail.stock_items on stock_code = stock_code_a;
select count(*) from reports.rpt_stock_item_pairs anti join online_retail.stock_items on stock_code = stock_code_b;
select count(*) from reports.rpt_user_segments anti join instacart.users using (user_id);
select count(*) from reports.rpt_product_performance anti join instacart.products using (product_id);
select count(*) from reports.rpt_product_pairs anti join instacart.products on product_id = product_id_a;
select count(*) from reports.rpt_product_pairs anti join instacart.products on product_id = product_id_b;
select count_if(returning_customer_count < 0 or is_complete_month is null) from reports.rpt_monthly_sales;
select count_if(returning_customer_count < 0 or cancellation_rate < 0) from reports.rpt_monthly_totals;
select count_if(recency_days < 1 or frequency < 1 or recency_score not between 1 and 5
    or frequency_score not between 1 and 5 or monetary_score not between 1 and 5) from reports.rpt_customer_rfm;
select count_if(months_since_first < 0 or cohort_size < 1 or retention not between 0 and 1)
from reports.rpt_cohort_retention;
select count_if(cancelled_share < 0 or sales_rank < 1 or cumulative_sales_share not between 0 and 1)
from reports.rpt_stock_item_performance;
select count_if(baskets_with_both < 1 or lift < 0) from reports.rpt_stock_item_pairs;
select count_if(orders_with_both < 1 or lift < 0) from reports.rpt_product_pairs;
select (select sum(line_amount) from online_retail.fct_sales) - (select sum(gross_amount) from reports.rpt_monthly_sales);
select (select sum(line_amount) from online_retail.fct_sales)
    - (select sum(sales_amount) from reports.rpt_stock_item_performance);
select (select sum(monetary) from reports.rpt_customer_rfm) - (select sum(sales_amount) from reports.rpt_cohort_retention);
select (select sum(basket_size) from instacart.fct_orders) - (select sum(order_count) from reports.rpt_product_performance);
select (select sum(basket_size) from instacart.fct_orders) - (select sum(item_count) from reports.rpt_aisle_performance);
select (select sum(basket_size) from instacart.fct_orders) - (select sum(item_count) from reports.rpt_user_segments);
select (select count(*) from instacart.fct_orders) - (select sum(order_count) from reports.rpt_order_times);

-- The gate: no table has more rejected rows than both limits.
select count_if(rejected_rows > 10 and rejected_rows > 0.01 * raw_rows) from audit.row_reconciliation;
