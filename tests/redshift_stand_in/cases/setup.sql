-- What the cases read. Each runs in a transaction of its own, which is rolled back.
create schema analytics;
create table analytics.t (
    id integer, k integer, s varchar(20), d date, ts timestamp, b boolean, amt decimal(12, 2)
);
insert into analytics.t values
(1, 7, 'a', '2024-01-31', '2024-01-31 10:00:00', true, 1.10),
(2, 3, null, '2024-02-29', '2024-02-29 23:59:59', false, 2.25),
(3, 3, 'B', '2024-03-01', '2024-03-01 00:00:00', null, 3.33);
create table analytics.one (x integer);
insert into analytics.one values (1);
create table analytics.txt (s varchar(20));
insert into analytics.txt values ('12'), ('abc'), ('abc  '), (null);
create table analytics.target (id integer, name varchar(20));
insert into analytics.target values (1, 'old'), (2, 'kept');
create table analytics.source (id integer, name varchar(20));
insert into analytics.source values (1, 'new'), (3, 'added');
create table analytics.parents (id integer primary key);
create table analytics.loaded (id integer, name varchar(4));
