"""Every dbt unit test fails when a fault is planted in the calculation that it guards."""

import json
import re
import shutil

from conftest import PROJECT

# For each unit test the file with the calculation, what stands there, and the fault.
FAULTS = {
    "int_aisles_rejected_leaves_out_repeated_files": (
        "macros/intermediate/repeated_files.sql",
        "own_rows.row_count < other_rows.row_count or pairs.file_name > pairs.other_name",
        "pairs.file_name > pairs.other_name",
    ),
    "int_invoice_files_doubted_finds_repeated_files": (
        "models/intermediate/online_retail/int_invoice_files_doubted.sql",
        "sum(least(own.row_count, same.row_count)) as shared_rows\n    from contents",
        "sum(own.row_count) as shared_rows\n    from contents",
    ),
    "int_invoice_lines_rejected_leaves_out_whole_files": (
        "models/intermediate/online_retail/int_invoice_lines_rejected.sql",
        "        and not invoice_lines.is_streamed\n",
        "",
    ),
    "stg_invoice_lines_spells_keys_in_one_way": (
        "macros/staging/without_zero_fraction.sql",
        "^[A-Z]?[0-9]+[.]0+$",
        "^[0-9]+[.]0+$",
    ),
    "doubted_files_are_named_once": (
        "models/audit/doubted_files.sql",
        "case when reason = 'duplicate_key' then detail else '' end",
        "detail",
    ),
    "stg_aisles_casts_and_judges_rows": (
        "models/staging/instacart/stg_instacart__aisles.sql",
        "'keys': ['aisle_id']",
        "'keys': []",
    ),
    "stg_departments_casts_and_judges_rows": (
        "models/staging/instacart/stg_instacart__departments.sql",
        "safe_integer('department_id_text')",
        "safe_integer('department_id_text', 'bigint') }} + {{ 1",
    ),
    "stg_products_casts_and_judges_rows": (
        "models/staging/instacart/stg_instacart__products.sql",
        "'readable': ['product_id', 'aisle_id', 'department_id']",
        "'readable': ['product_id']",
    ),
    "stg_orders_casts_values": (
        "models/staging/instacart/stg_instacart__orders.sql",
        "safe_integer('order_number_text', 'smallint', unless=official)",
        "safe_integer('order_dow_text', 'smallint', unless=official)",
    ),
    "stg_orders_judges_rows": (
        "models/staging/instacart/stg_instacart__orders.sql",
        "days_since_prior_order between 0 and 30",
        "days_since_prior_order between 0 and 31",
    ),
    "stg_order_products_prior_casts_and_judges_rows": (
        "macros/staging/instacart_order_products_query.sql",
        "add_to_cart_order >= 1",
        "add_to_cart_order >= 0",
    ),
    "stg_order_products_train_casts_and_judges_rows": (
        "macros/staging/instacart_order_products_query.sql",
        "reordered in (0, 1)",
        "reordered in (0, 1, 2)",
    ),
    "int_aisles_rejected_keeps_first_of_duplicates": (
        "macros/intermediate/later_duplicates.sql",
        "order by candidates.file_name, candidates.row_number",
        "order by candidates.row_number",
    ),
    "int_departments_rejected_keeps_first_of_duplicates": (
        "models/intermediate/instacart/int_departments_rejected.sql",
        "        {{ readable_with_key() }}\n        and repeated",
        "        true\n        and repeated",
    ),
    "int_products_rejected_names_the_first_reason": (
        "models/intermediate/instacart/int_products_rejected.sql",
        "or departments.department_id is null",
        "",
    ),
    "int_orders_rejected_names_the_first_reason": (
        "models/intermediate/instacart/int_orders_rejected.sql",
        "coalesce(orders.raw_record, {{ official_order_record() }})",
        "orders.raw_record",
    ),
    "int_order_products_rejected_names_the_first_reason": (
        "models/intermediate/instacart/int_order_products_rejected.sql",
        "later_duplicates(candidates, ['order_id', 'product_id'])",
        "later_duplicates(candidates, ['order_id'])",
    ),
    "int_orders_accepted_leaves_out_rejected_rows": (
        "models/intermediate/instacart/int_orders_accepted.sql",
        "rejected.file_name = orders.file_name",
        "true",
    ),
    "int_users_damaged_finds_users_with_rejected_rows": (
        "models/intermediate/instacart/int_users_damaged.sql",
        "\nunion\n",
        "\nunion all\n",
    ),
    "users_counts_orders_and_days": (
        "models/marts/instacart/users.sql",
        "coalesce(sum(days_since_prior_order), 0)",
        "sum(days_since_prior_order)",
    ),
    "fct_orders_measures_baskets": (
        "models/marts/instacart/fct_orders.sql",
        "sum(reordered)",
        "count(reordered)",
    ),
    "rejected_rows_gathers_all_entities": (
        "models/audit/rejected_rows.sql",
        "'int_aisles_rejected', 'int_departments_rejected', ",
        "'int_aisles_rejected', 'int_aisles_rejected', ",
    ),
    "row_reconciliation_counts_every_file": (
        "models/audit/row_reconciliation.sql",
        "deliveries.source_name = rejected_counts.source_name",
        "true",
    ),
    "stg_invoice_lines_casts_values": (
        "macros/staging/safe_timestamp.sql",
        "then '20' else '' end",
        "then '19' else '' end",
    ),
    "stg_invoice_lines_judges_rows": (
        "macros/staging/online_retail_lines_query.sql",
        "'^[AC]?[0-9]{1,19}([.]0+)?$'",
        "'^[A-Z]*[0-9]*$'",
    ),
    "stg_invoice_lines_reads_day_first_where_declared": (
        "macros/staging/online_retail_lines_query.sql",
        "safe_timestamp('invoiced_at_text', day_first)",
        "safe_timestamp('invoiced_at_text')",
    ),
    "stg_streamed_lines_casts_and_judges": (
        "models/staging/online_retail/stg_online_retail__streamed_lines.sql",
        "landing_position asc",
        "landing_position desc",
    ),
    "int_invoice_lines_unioned_takes_a_line_once": (
        "models/intermediate/online_retail/int_invoice_lines_unioned.sql",
        "    where not is_repeated\n",
        "",
    ),
    "int_streamed_lines_rejected_are_those_that_contradict": (
        "models/intermediate/online_retail/int_streamed_lines_rejected.sql",
        "replaced.{{ column }} is null and counted.{{ column }} is null",
        "true",
    ),
    "int_invoice_lines_classified_tells_what_a_line_is": (
        "models/intermediate/online_retail/int_invoice_lines_classified.sql",
        "when invoice_lines.unit_price <= 0",
        "when invoice_lines.unit_price < 0",
    ),
    "int_invoice_lines_classified_marks_exact_duplicates": (
        "models/intermediate/online_retail/int_invoice_lines_classified.sql",
        "order by invoice_lines.file_name, invoice_lines.row_number",
        "order by invoice_lines.row_number, invoice_lines.file_name",
    ),
    "fct_sales_holds_sales_only": (
        "models/marts/online_retail/fct_sales.sql",
        "where transaction_type = 'sale'",
        "where quantity > 0 or line_amount > 0",
    ),
    "fct_cancellations_holds_cancellations_only": (
        "models/marts/online_retail/fct_cancellations.sql",
        "cast(invoiced_at as date)",
        "cast(invoiced_at as date) + 1",
    ),
    "invoices_adds_up_lines": (
        "models/marts/online_retail/invoices.sql",
        "min(invoiced_at)",
        "max(invoiced_at)",
    ),
    "customers_takes_the_latest_country": (
        "models/marts/online_retail/customers.sql",
        "order by invoice_lines.file_name desc, invoice_lines.row_number desc",
        "order by invoice_lines.file_name desc, invoice_lines.row_number asc",
    ),
    "customers_always_has_unknown": (
        "models/marts/online_retail/customers.sql",
        "cast('Unknown' as varchar(20)) as customer_id",
        "cast('Nobody' as varchar(20)) as customer_id",
    ),
    "stock_items_takes_the_usual_description": (
        "models/marts/online_retail/stock_items.sql",
        "order by line_count desc, last_used_at desc, description asc",
        "order by line_count desc, last_used_at asc, description asc",
    ),
    "transactions_adds_up_pairs": (
        "models/marts/online_retail/transactions.sql",
        "order by file_name desc, row_number desc",
        "order by row_number desc, file_name desc",
    ),
    "fct_daily_sales_nets_by_day_and_country": (
        "models/marts/online_retail/fct_daily_sales.sql",
        "case when customer_id <> 'Unknown' then customer_id end",
        "customer_id",
    ),
    "int_instacart_rejections_counted_counts_by_table_and_reason": (
        "models/intermediate/instacart/int_instacart_rejections_counted.sql",
        "'aisles': 'stg_instacart__aisles'",
        "'aisles': 'stg_instacart__products'",
    ),
    "int_online_retail_rejections_counted_counts_by_table_and_reason": (
        "macros/intermediate/rejections_counted_query.sql",
        "count(*) as raw_rows",
        "count(*) + 1 as raw_rows",
    ),
    "dim_dates_covers_whole_years": (
        "models/marts/reference/dim_dates.sql",
        "extract(dow from date_day) in (0, 6)",
        "extract(dow from date_day) in (0, 5)",
    ),
    "ftr_orders_ages_orders_and_parts_them": (
        "models/features/instacart/ftr_orders.sql",
        "case when is_target then order_age end",
        "case when not is_target then 0 end",
    ),
    "ftr_targets_takes_the_open_order_or_the_one_to_come": (
        "models/features/instacart/ftr_targets.sql",
        "order by count(*) desc, max(order_number) desc",
        "order by count(*) desc, max(order_number) asc",
    ),
    "ftr_order_products_finds_the_purchases_before_and_after": (
        "models/features/instacart/ftr_order_products.sql",
        "lead(orders.order_age)",
        "lag(orders.order_age, 2)",
    ),
    "ftr_users_looks_at_older_orders_only": (
        "models/features/instacart/ftr_users.sql",
        "case when orders.order_number > 1 then 1 end",
        "case when orders.order_number > 0 then 1 end",
    ),
    "ftr_products_counts_orders_of_the_statistics": (
        "models/features/instacart/ftr_products.sql",
        "where is_in_statistics",
        "where true",
    ),
    "ftr_user_aisles_compares_tastes": (
        "models/features/instacart/ftr_user_aisles.sql",
        "sum(first_purchase_count) + 1",
        "sum(first_purchase_count)",
    ),
    "ftr_user_products_looks_at_older_orders_only": (
        "models/features/instacart/ftr_user_products.sql",
        "when order_products.next_order_age > targets.orders_back then 0 else 1",
        "when order_products.next_order_age > 0 then 0 else 1",
    ),
    "ftr_reorder_candidates_compares_and_ranks": (
        "models/features/instacart/ftr_reorder_candidates.sql",
        "order by decay_80 desc, order_count desc, product_id asc",
        "order by decay_80 desc, order_count desc, product_id desc",
    ),
    "ftr_product_pairs_counts_carts_and_next_orders": (
        "models/features/instacart/ftr_product_pairs.sql",
        "steps.order_age - 1 = first_purchases.order_age",
        "steps.order_age = first_purchases.order_age",
    ),
    "ftr_product_pairs_keeps_the_commonest_partners": (
        "models/features/instacart/ftr_product_pairs.sql",
        "or ranked.rank_next_in_cart",
        "and ranked.rank_next_in_cart",
    ),
    "ftr_aisle_transitions_follows_the_cart": (
        "models/features/instacart/ftr_aisle_transitions.sql",
        "where is_in_pair_sample",
        "where true",
    ),
    "ftr_cart_steps_are_those_of_targets": (
        "models/features/instacart/ftr_cart_steps.sql",
        "order_products.reordered = 0",
        "order_products.reordered = 1",
    ),
    "predicted_reorders_has_the_types_of_its_contract": (
        "models/predictions/instacart/predicted_reorders.sql",
        "cast(probability as",
        "cast(1 - probability as",
    ),
    "predicted_baskets_has_the_types_of_its_contract": (
        "models/predictions/instacart/predicted_baskets.sql",
        "cast(expected_f1 as",
        "cast(1 - expected_f1 as",
    ),
    "predicted_first_purchases_has_the_types_of_its_contract": (
        "models/predictions/instacart/predicted_first_purchases.sql",
        "cast(score as",
        "cast(1 - score as",
    ),
    "next_in_cart_has_the_types_of_its_contract": (
        "models/predictions/instacart/next_in_cart.sql",
        "cast(lift as",
        "cast(1 - lift as",
    ),
    "model_runs_has_the_types_of_its_contract": (
        "models/audit/model_runs.sql",
        "cast(reorder_auc as",
        "cast(1 - reorder_auc as",
    ),
    "rpt_monthly_sales_counts_by_month_and_country": (
        "models/reports/online_retail/rpt_monthly_sales.sql",
        "min(sales_month) as first_sales_month",
        "max(sales_month) as first_sales_month",
    ),
    "rpt_monthly_totals_has_every_month": (
        "models/reports/online_retail/rpt_monthly_totals.sql",
        "when cancellations.cancellation_amount < 0 then",
        "when true then",
    ),
    "rpt_customer_rfm_scores_fifths": (
        "models/reports/online_retail/rpt_customer_rfm.sql",
        "ntile(5) over (order by frequency asc, customer_id asc)",
        "ntile(5) over (order by frequency asc, customer_id desc)",
    ),
    "rpt_cohort_retention_has_every_month": (
        "models/reports/online_retail/rpt_cohort_retention.sql",
        "left join active",
        "inner join active",
    ),
    "rpt_stock_item_performance_ranks_products": (
        "macros/features/ratio.sql",
        "as numeric(38, 0)) * ' ~ shift ~ ' + ' ~ whole",
        "as numeric(38, 0)) * ' ~ shift ~ ' + 2 * ' ~ whole",
    ),
    "rpt_stock_item_pairs_divides_by_all_baskets": (
        "models/reports/online_retail/rpt_stock_item_pairs.sql",
        "    where is_product\n",
        "    where true\n",
    ),
    "rpt_product_performance_has_every_product": (
        "models/reports/instacart/rpt_product_performance.sql",
        "when order_count > 1 then",
        "when order_count > 0 then",
    ),
    "rpt_department_performance_counts_orders_once": (
        "macros/reports/measured_items.sql",
        "select distinct\n",
        "select\n",
    ),
    "rpt_aisle_performance_counts_orders_once": (
        "macros/reports/measured_items.sql",
        "count(*) as user_count",
        "sum(order_count) as user_count",
    ),
    "rpt_order_times_divides_by_orders_with_lines": (
        "models/reports/instacart/rpt_order_times.sql",
        "select count(basket_size) as orders_with_lines from",
        "select count(*) as orders_with_lines from",
    ),
    "rpt_order_gaps_leaves_out_first_orders": (
        "models/reports/instacart/rpt_order_gaps.sql",
        "where days_since_prior_order is not null",
        "where true",
    ),
    "rpt_order_sequence_counts_who_gets_there": (
        "models/reports/instacart/rpt_order_sequence.sql",
        "measured.user_count', 'user_total",
        "measured.orders_with_lines', 'user_total",
    ),
    "rpt_basket_sizes_leaves_out_unknown_baskets": (
        "models/reports/instacart/rpt_basket_sizes.sql",
        "where basket_size is not null",
        "where true",
    ),
    "rpt_user_segments_at_the_borders": (
        "models/reports/instacart/rpt_user_segments.sql",
        "mean_days_between_orders <= {{ var('frequent_user_days') }}\n                and",
        "mean_days_between_orders < {{ var('frequent_user_days') }}\n                and",
    ),
    "rpt_product_pairs_divides_by_orders_with_lines": (
        "macros/reports/least_orders.sql",
        "floor(",
        "ceil(",
    ),
    "rpt_product_pairs_of_few_orders": (
        "models/reports/instacart/rpt_product_pairs.sql",
        "having count(*) >= {{ var('pair_report_orders') }}",
        "having count(*) > {{ var('pair_report_orders') }}",
    ),
}


def test_every_unit_test_can_fail(dbt, built, tmp_path):
    unit_tests = {node["name"] for node in json.loads(built.manifest.read_text())["unit_tests"].values()}
    assert unit_tests == set(FAULTS)
    project = tmp_path / "project"
    ignored = shutil.ignore_patterns(".*", "target", "logs", "*.duckdb*", "python", "samples")
    shutil.copytree(PROJECT, project, ignore=ignored)
    for file_name, right, wrong in FAULTS.values():
        path = project / file_name
        text = path.read_text()
        assert text.count(right) == 1, f"{file_name}: {right}"
        path.write_text(text.replace(right, wrong))
    shutil.copy(built.warehouse, dbt.warehouse)
    outcome = dbt("test", "--select", "test_type:unit", "--target-path", str(tmp_path / "target"), project=project)
    assert not outcome.ok
    failed = set(re.findall(r"FAIL 1 \w+::(\w+)", outcome.output))
    assert unit_tests - failed == set(), outcome.output
