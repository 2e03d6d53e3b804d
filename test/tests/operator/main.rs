//! The operator against a real kube-apiserver, etcd and Job controller. Pods do what `Kubelet` says.

#![cfg(test)]

mod again;
mod bounds;
mod budgets;
mod failures;
mod fault;
mod former;
mod github_app;
mod harness;
mod identity;
mod leadership;
mod lifecycle;
mod network;
mod pipelines;
mod records;
mod refused_jobs;
mod rights;
mod spawners;
