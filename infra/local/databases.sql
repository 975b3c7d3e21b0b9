-- Run once, when the volume is new.
create database prefect;
create database mlflow;
create database mlflow_users;
create database pgstac;
