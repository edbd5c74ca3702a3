-- Definitions and other commands, as dbt-redshift, this project's hooks or its users send them. For how to read this,
-- see queries.sql. Of several statements, the last is the case and the others must pass.

-- table with keys | passes: near key_column
create table analytics.n (id integer not null, s varchar(10)) diststyle key distkey (id) compound sortkey (id, s);

-- distribution key of no column | refused: key_column
create table analytics.n (id integer) diststyle key distkey (other);

-- sort key of no column | refused: key_column
create table analytics.n sortkey (other) as (select 1 as id);

-- primary key of no column | refused: key_column
create table analytics.n (id integer, primary key (other));

-- distkey with style even | refused: dist_key
create table analytics.n (id integer) diststyle even distkey (id);

-- style key without distkey | refused: dist_key
create table analytics.n (id integer) diststyle key;

-- style even | passes: near dist_key
create table analytics.n diststyle even as select 1 as id;

-- nine interleaved sort keys | refused: sort_keys
create table analytics.n (a int, b int, c int, d int, e int, f int, g int, h int, i int)
interleaved sortkey (a, b, c, d, e, f, g, h, i);

-- nine compound sort keys | passes: near sort_keys
create table analytics.n (a int, b int, c int, d int, e int, f int, g int, h int, i int)
compound sortkey (a, b, c, d, e, f, g, h, i);

-- partitioned table | refused: table_attribute
create table analytics.n (id integer) partition by range (id);

-- backup no | passes: near table_attribute
create temporary table n backup no sortkey auto as (select 1 as id);

-- attributes of columns | passes: near table_attribute
create table analytics.n (id bigint identity(1, 1) distkey sortkey, s varchar(10) encode lzo, primary key (id));

-- check of a column | refused: check_constraint
create table analytics.n (id integer check (id > 0));

-- check of a table | refused: check_constraint
create table analytics.n (id integer, check (id > 0));

-- named check of a table | refused: check_constraint
create table analytics.n (id integer, constraint positive check (id > 0));

-- named primary key | passes: near check_constraint
create table analytics.n (id integer, constraint n_pkey primary key (id));

-- serial | refused: serial_type
create table analytics.n (id serial);

-- column named serial | passes: near serial_type
create table analytics.n (serial integer);

-- column of a type that is not there | refused: unsupported_type
create table analytics.n (id uuid);

-- column of an array type | refused: unsupported_type
create table analytics.n (ids integer[]);

-- column of the type super | not emulated
create table analytics.n (document super);

-- foreign key to a table without a key | refused: foreign_key_target
create table analytics.n (id integer, foreign key (id) references analytics.one (x));

-- foreign key of a column | refused: foreign_key_target
create table analytics.n (id integer references analytics.one (x));

-- foreign key | passes: near foreign_key_target
create table analytics.n (id integer, foreign key (id) references "dev"."analytics"."parents" (id));

-- null in a primary key | PostgreSQL refuses
insert into analytics.parents values (null);

-- primary key twice | passes | keys are informational only
insert into analytics.parents values (1), (1);

-- late-binding view of a bare name | refused: late_binding_names
create view analytics.v as select x from one with no schema binding;

-- late-binding view | passes: near late_binding_names
create view analytics.v as with o as (select x, extract(year from current_date) from analytics.one) select x from o
with no schema binding;

-- late-binding view, before the end of the transaction that makes its table anew | PostgreSQL refuses
create view analytics.v as select x from analytics.one with no schema binding;
drop table analytics.one cascade;
create table analytics.one as select 1 as x;
select x from analytics.v;

-- late-binding view of a dropped table | PostgreSQL refuses
create view analytics.v as select x from analytics.one with no schema binding;
drop table analytics.one cascade;
select x from analytics.v;

-- bound view goes with its table | PostgreSQL refuses
create view analytics.v as select x from analytics.one;
drop table analytics.one cascade;
create table analytics.one as select 1 as x;
select x from analytics.v;

-- index | refused: unsupported_command
create index i on analytics.t (id);

-- sequence | refused: unsupported_command
create sequence analytics.s;

-- drop of a sequence | refused: unsupported_command
drop sequence analytics.s;

-- schema | passes: near unsupported_command
create schema if not exists "dev"."other";

-- varchar without a length has 256 | PostgreSQL refuses
create table analytics.n (s varchar);
insert into analytics.n select repeat('x', 257);

-- varchar(max) | passes
create table analytics.n (s varchar(max));
insert into analytics.n select repeat('x', 257);

-- names are folded | passes
-- = [[1]]
create table analytics."Folded" ("Id" integer);
insert into ANALYTICS.FOLDED values (1);
select "ID" from "analytics"."folded";

-- merge from a query | refused: merge_source
merge into analytics.target using (select * from analytics.source) as s on target.id = s.id
when matched then update set name = s.name when not matched then insert values (s.id, s.name);

-- merge without update | refused: merge_clauses
merge into analytics.target using analytics.source as s on target.id = s.id
when not matched then insert values (s.id, s.name);

-- merge with a condition | refused: merge_condition
merge into analytics.target using analytics.source as s on target.id = s.id
when matched and s.id > 1 then update set name = s.name when not matched then insert values (s.id, s.name);

-- merge | passes: near merge_source
-- = [[1, "new"], [2, "kept"], [3, "added"]]
merge into analytics.target using analytics.source as s on target.id = s.id
when matched then update set name = s.name when not matched then insert values (s.id, s.name);
select * from analytics.target order by id;

-- merge that deletes | passes: near merge_clauses
-- = [[2, "kept"], [3, "added"]]
merge into analytics.target using analytics.source as s on target.id = s.id
when matched then delete when not matched then insert (id, name) values (s.id, s.name);
select * from analytics.target order by id;

-- merge on two columns | passes: near merge_condition
merge into analytics.target using analytics.source as s on target.id = s.id and target.name = s.name
when matched then update set name = s.name when not matched then insert values (s.id, s.name);

-- merge remove duplicates | not emulated
merge into analytics.target using analytics.source on target.id = source.id remove duplicates;

-- copy | passes: near copy_prefix
-- = [[1, "one"], [2, ""], [3, null]]
copy analytics.loaded from 's3://cases/good/' iam_role default format as parquet;
select * from analytics.loaded order by id;

-- copy from an unfinished name | passes: near copy_prefix | a key prefix, not a folder
-- = [[3]]
copy "dev"."analytics"."loaded" from 's3://cases/goo' iam_role 'arn:aws:iam::1:role/r' region 'eu-west-1' format parquet;
select count(*) from analytics.loaded;

-- copy from nothing | refused: copy_prefix
copy analytics.loaded from 's3://cases/nothing/' iam_role default format as parquet;

-- copy of a text file | refused: copy_not_parquet
copy analytics.loaded from 's3://cases/text/' iam_role default format as parquet;

-- copy of several files | passes: near copy_not_parquet
-- = [[6]]
copy analytics.loaded from 's3://cases/several/' iam_role default format as parquet;
select count(*) from analytics.loaded;

-- copy of too many columns | refused: copy_columns
copy analytics.one from 's3://cases/good/' iam_role default format as parquet;

-- copy of columns with other names | passes: near copy_columns | by position
-- = [[7, "x"]]
copy analytics.loaded from 's3://cases/renamed/' iam_role default format as parquet;
select * from analytics.loaded;

-- copy of bigint into integer | refused: copy_type
copy analytics.loaded from 's3://cases/bigint/' iam_role default format as parquet;

-- copy of a decimal of another scale | refused: copy_type
create table analytics.n (amount numeric(10, 3));
copy analytics.n from 's3://cases/decimal/' iam_role default format as parquet;

-- copy of a decimal | passes: near copy_type
-- = [["1.50"]]
create table analytics.n (amount numeric(10, 2));
copy analytics.n from 's3://cases/decimal/' iam_role default format as parquet;
select cast(amount as varchar(10)) from analytics.n;

-- copy of five bytes into four | refused: copy_too_long
copy analytics.loaded from 's3://cases/five_bytes/' iam_role default format as parquet;

-- copy of four bytes | passes: near copy_too_long
-- = [[1, "öö"]]
copy analytics.loaded from 's3://cases/four_bytes/' iam_role default format as parquet;
select * from analytics.loaded;

-- copy of a null into not null | PostgreSQL refuses
create table analytics.n (id integer, name varchar(4) not null);
copy analytics.n from 's3://cases/good/' iam_role default format as parquet;

-- copy into no table | PostgreSQL refuses
copy analytics.nothing from 's3://cases/good/' iam_role default format as parquet;

-- copy of CSV | not emulated
copy analytics.loaded from 's3://cases/good/' iam_role default format as csv;

-- copy of some columns | not emulated
copy analytics.loaded (id) from 's3://cases/good/' iam_role default format as parquet;

-- copy without a role | not emulated
copy analytics.loaded from 's3://cases/good/' format as parquet;

-- copy with a further option | not emulated
copy analytics.loaded from 's3://cases/good/' iam_role default format as parquet fillrecord;

-- unload | passes: near unload_not_empty
unload ('select id, name from "dev"."analytics"."source"') to 's3://cases/unloaded/plain/' iam_role default
format as parquet;

-- unload where something is | refused: unload_not_empty
unload ('select id from analytics.source') to 's3://cases/good/' iam_role default format as parquet;

-- unload over it | passes: near unload_overwrite
unload ('select id from analytics.source') to 's3://cases/unloaded/over/' iam_role default format as parquet
allowoverwrite;

-- unload over it and in its place | refused: unload_overwrite
unload ('select id from analytics.source') to 's3://cases/unloaded/over/' iam_role default format as parquet
cleanpath allowoverwrite;

-- unload with a limit | refused: unload_limit
unload ('select id from analytics.source limit 1') to 's3://cases/unloaded/limit/' iam_role default format as parquet;

-- unload with a limit below | passes: near unload_limit
unload ('select id from (select id from analytics.source order by id limit 1) as s') to 's3://cases/unloaded/below/'
iam_role default format as parquet;

-- unload by no column | refused: unload_partition
unload ('select id from analytics.source') to 's3://cases/unloaded/none/' iam_role default format as parquet
partition by (name);

-- unload by all columns | refused: unload_partition
unload ('select id from analytics.source') to 's3://cases/unloaded/all/' iam_role default format as parquet
partition by (id);

-- unload by a column | passes: near unload_partition
unload ('select id, name from analytics.source where name <> ''old''') to 's3://cases/unloaded/by_name/'
iam_role default format as parquet partition by (name) cleanpath;

-- unload of a query that Redshift refuses | refused: unknown_function
unload ('select string_agg(name, '','') from analytics.source') to 's3://cases/unloaded/x/' iam_role default
format as parquet;

-- unload of a decimal without a size | not emulated | Redshift would derive one
unload ('select sum(amt) as amount from analytics.t') to 's3://cases/unloaded/sum/' iam_role default format as parquet;

-- unload of text | not emulated
unload ('select id from analytics.source') to 's3://cases/unloaded/text/' iam_role default header;

-- unload by a value with a slash | not emulated
unload ('select 1 as id, ''a/b'' as name') to 's3://cases/unloaded/slash/' iam_role default format as parquet
partition by (name);

-- grant to nobody | PostgreSQL refuses
grant select on analytics.t to stranger;

-- grant to a role | passes
grant usage on schema analytics to role reader;

-- grant to a role and a user | passes
grant select on "dev"."analytics"."t" to role reader, dbt;

-- grant to a role that there is not | PostgreSQL refuses
grant select on analytics.t to role stranger;

-- grant | passes
grant select on "dev"."analytics"."t" to reader;

-- comment | passes
comment on column "dev"."analytics"."t"."id" is 'it''s "quoted"';

-- comment as dbt writes it | passes
comment on column "dev"."analytics"."t"."id" is $dbt_comment_literal_block$it's "quoted"; 'twice$dbt_comment_literal_block$;

-- query group | passes
set query_group to 'dbt';

-- another setting | not emulated
set enable_result_cache_for_session to off;

-- analyze | passes
analyze "dev"."analytics"."t";

-- analyze of no table | PostgreSQL refuses
analyze analytics.nothing;

-- vacuum | not emulated
vacuum analytics.t;

-- a new column | passes
-- = [[null]]
alter table analytics.one add column s varchar(10);
select s from analytics.one;

-- rename | passes
-- = [[1]]
alter table "dev"."analytics"."one" rename to "renamed";
select x from analytics.renamed;

-- alter of a sort key | not emulated
alter table analytics.one alter sortkey (x);

-- materialized view | not emulated
create materialized view analytics.m as select 1 as x;

-- refresh | not emulated
refresh materialized view analytics.m;

-- stored procedure | not emulated
call analytics.p();

-- external schema | not emulated
create external schema spectrum from data catalog database 'd' iam_role default;

-- show schemas | passes
-- = [["dev", "analytics", "dbt", "local"]]
show schemas from database "dev" like 'analytics';

-- show tables | passes
show tables from schema "dev"."analytics" like 't%';

-- show columns | passes
show columns from table "dev"."analytics"."one";

-- show grants | passes
show grants on table "dev"."analytics"."one";

-- show something else | not emulated
show search_path;

-- explain | not emulated
explain select 1;

-- table without rows | refused: create_table_as
create table analytics.n as select 1 as x with no data;

-- table from a named query | passes: near create_table_as
create table analytics.n as with data as (select 1 as x) select x from data;

-- table of whole rows | refused: unsupported_type
create table analytics.n as select t from analytics.t;

-- view of arrays | refused: unsupported_type
create view analytics.n as select datacl from pg_database;

-- generated column | refused: table_attribute
create table analytics.n (a integer, b integer generated always as (a) stored);

-- generated by default | passes: near table_attribute
create table analytics.n (a integer generated by default as identity(1, 1));

-- exclusion constraint | refused: table_attribute
create table analytics.n (a integer, exclude using gist (a with =));

-- column of a range type | refused: unsupported_type
create table analytics.n (a daterange);

-- column of an interval | not emulated
create table analytics.n (a interval);

-- decimal column without a size | passes
-- = [[2]]
create table analytics.n (a numeric);
insert into analytics.n values (1.5);
select a from analytics.n;

-- temporary view | refused: view_clause
create temp view v as select 1 as x;

-- view with check option | refused: view_clause
create view analytics.v as select x from analytics.one with check option;

-- view | passes: near view_clause
create or replace view analytics.v (y) as select x from analytics.one;

-- two new columns | refused: alter_one_action
alter table analytics.one add column a integer, add column b integer;

-- new column of a size | passes: near alter_one_action
alter table analytics.one add column a numeric(10, 2);

-- new column if there is none | refused: alter_table
alter table analytics.one add column if not exists a integer;

-- another schema | refused: alter_table
alter table analytics.one set schema public;

-- not null afterwards | refused: alter_table
alter table analytics.one alter column x set not null;

-- default afterwards | refused: alter_table
alter table analytics.one alter column x set default 1;

-- new column with a default | passes: near alter_table
alter table analytics.one add column a integer default 1;

-- another type | refused: alter_type
alter table analytics.one alter column x type bigint;

-- another length | passes: near alter_type
alter table analytics.target alter column name type varchar(30);

-- truncate of two tables | refused: truncate
truncate analytics.one, analytics.t;

-- truncate with cascade | refused: truncate
truncate table analytics.one cascade;

-- truncate with restart | refused: truncate
truncate analytics.one restart identity;

-- truncate | passes: near truncate
create temp table truncated as select 1 as x;
truncate truncated;

-- grant of connect | refused: grant_privilege
grant connect on database dev to reader;

-- grant of temp | passes: near grant_privilege
grant temp on database dev to reader;

-- commit and chain | refused: transaction_chain
commit and chain;

-- commit work | passes: near transaction_chain
commit work;

-- analyze of some columns | not emulated
analyze analytics.t predicate columns;

-- merge on an inequality | refused: merge_match
merge into analytics.target using analytics.source as s on target.id = s.id and target.name < s.name
when matched then update set name = s.name when not matched then insert values (s.id, s.name);

-- merge by equality | passes: near merge_match
merge into analytics.target using analytics.source as s on target.id = s.id
when matched then update set name = case when s.id > 1 then s.name else 'x' end
when not matched then insert values (s.id, s.name);
