-- The published and verified figures of the reports on the complete official file. Off unless that file is loaded.
{{ config(enabled=var('online_retail_complete')) }}
{% set cohort_sizes = [885, 417, 380, 452, 300, 284, 242, 188, 169, 299, 358, 323, 41] %}
{% set back_after_december = [324, 286, 340, 321, 352, 321, 309, 313, 350, 331, 445, 235] %}

with figures as (

    select
        'gross of December 2010' as figure,
        cast(823746.14 as numeric(18, 6)) as expected,
        (
            select cast(sum(gross_amount) as numeric(18, 6)) from {{ ref('rpt_monthly_sales') }}
            where sales_month = '2010-12-01'
        ) as actual
    union all
    select
        'gross of September 2011' as figure,
        1058590.172 as expected,
        (
            select cast(sum(gross_amount) as numeric(18, 6)) from {{ ref('rpt_monthly_sales') }}
            where sales_month = '2011-09-01'
        ) as actual
    union all
    select
        'gross of October 2011' as figure,
        1154979.300 as expected,
        (
            select cast(sum(gross_amount) as numeric(18, 6)) from {{ ref('rpt_monthly_sales') }}
            where sales_month = '2011-10-01'
        ) as actual
    union all
    select
        'complete months' as figure,
        12 as expected,
        (select count(distinct sales_month) from {{ ref('rpt_monthly_sales') }} where is_complete_month) as actual
    union all
    select
        'customers with a sale' as figure,
        4338 as expected,
        (select count(*) from {{ ref('rpt_customer_rfm') }}) as actual
    union all
    select
        'days since the last sale' as figure,
        403692 as expected,
        (select sum(recency_days) from {{ ref('rpt_customer_rfm') }}) as actual
    union all
    select
        'sale invoices of customers' as figure,
        18532 as expected,
        (select sum(frequency) from {{ ref('rpt_customer_rfm') }}) as actual
    union all
    select
        'sales to customers' as figure,
        8911407.904 as expected,
        (select cast(sum(monetary) as numeric(18, 6)) from {{ ref('rpt_customer_rfm') }}) as actual
    union all
    select
        'segment hibernating' as figure,
        1072 as expected,
        (select count(*) from {{ ref('rpt_customer_rfm') }} where segment = 'hibernating') as actual
    union all
    select
        'segment loyal' as figure,
        813 as expected,
        (select count(*) from {{ ref('rpt_customer_rfm') }} where segment = 'loyal') as actual
    union all
    select
        'segment champions' as figure,
        633 as expected,
        (select count(*) from {{ ref('rpt_customer_rfm') }} where segment = 'champions') as actual
    union all
    select
        'segment at risk' as figure,
        597 as expected,
        (select count(*) from {{ ref('rpt_customer_rfm') }} where segment = 'at risk') as actual
    union all
    select
        'segment potential loyalists' as figure,
        481 as expected,
        (select count(*) from {{ ref('rpt_customer_rfm') }} where segment = 'potential loyalists') as actual
    union all
    select
        'segment about to sleep' as figure,
        353 as expected,
        (select count(*) from {{ ref('rpt_customer_rfm') }} where segment = 'about to sleep') as actual
    union all
    select
        'segment need attention' as figure,
        188 as expected,
        (select count(*) from {{ ref('rpt_customer_rfm') }} where segment = 'need attention') as actual
    union all
    select
        'segment promising' as figure,
        94 as expected,
        (select count(*) from {{ ref('rpt_customer_rfm') }} where segment = 'promising') as actual
    union all
    select
        'segment cannot lose' as figure,
        65 as expected,
        (select count(*) from {{ ref('rpt_customer_rfm') }} where segment = 'cannot lose') as actual
    union all
    select
        'segment new' as figure,
        42 as expected,
        (select count(*) from {{ ref('rpt_customer_rfm') }} where segment = 'new') as actual
    union all
    select
        'sales to champions' as figure,
        4341073.160 as expected,
        (
            select cast(sum(monetary) as numeric(18, 6)) from {{ ref('rpt_customer_rfm') }}
            where segment = 'champions'
        ) as actual
    union all
    {% for size in cohort_sizes %}
    select
        'size of cohort {{ loop.index }}' as figure,
        {{ size }} as expected,
        (
            select cohort_size from {{ ref('rpt_cohort_retention') }}
            where
                cohort_month = cast({{ dbt.dateadd('month', loop.index0, "cast('2010-12-01' as date)") }} as date)
                and months_since_first = 0
        ) as actual
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}
    union all
    {% for customers in back_after_december %}
    select
        'back after {{ loop.index }} months' as figure,
        {{ customers }} as expected,
        (
            select active_customers from {{ ref('rpt_cohort_retention') }}
            where cohort_month = '2010-12-01' and months_since_first = {{ loop.index }}
        ) as actual
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}
    union all
    select
        'baskets_with_both of 22386 and 85099B' as figure,
        825 as expected,
        (
            select baskets_with_both from {{ ref('rpt_stock_item_pairs') }}
            where stock_code_a = '22386' and stock_code_b = '85099B'
        ) as actual
    union all
    select
        'support of 22386 and 85099B' as figure,
        0.041724 as expected,
        (
            select support from {{ ref('rpt_stock_item_pairs') }}
            where stock_code_a = '22386' and stock_code_b = '85099B'
        ) as actual
    union all
    select
        'lift of 22386 and 85099B' as figure,
        6.411222 as expected,
        (
            select lift from {{ ref('rpt_stock_item_pairs') }}
            where stock_code_a = '22386' and stock_code_b = '85099B'
        ) as actual
    union all
    select
        'baskets_with_both of 22697 and 22699' as figure,
        767 as expected,
        (
            select baskets_with_both from {{ ref('rpt_stock_item_pairs') }}
            where stock_code_a = '22697' and stock_code_b = '22699'
        ) as actual
    union all
    select
        'support of 22697 and 22699' as figure,
        0.038790 as expected,
        (
            select support from {{ ref('rpt_stock_item_pairs') }}
            where stock_code_a = '22697' and stock_code_b = '22699'
        ) as actual
    union all
    select
        'lift of 22697 and 22699' as figure,
        14.057525 as expected,
        (
            select lift from {{ ref('rpt_stock_item_pairs') }}
            where stock_code_a = '22697' and stock_code_b = '22699'
        ) as actual

)

select * from figures
where
    actual <> expected
    or actual is null
