//! What the processes are: the scheduler, and an executor.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use ballista_core::{error::Result, registry::BallistaFunctionRegistry};
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::{
    cluster::BallistaCluster,
    config::{SchedulerConfig, TaskDistributionPolicy},
    scheduler_process::{create_scheduler, start_grpc_service_with_listener},
};
use datafusion::{execution::FunctionRegistry, logical_expr::ScalarUDF};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use patchkit_inventory::lake_functions;

use crate::{
    cluster::{EXECUTORS, PLACE, PORT, WORK},
    witness::Witness,
};

const HOST: &str = "127.0.0.1";

/// What every process of the cluster knows beside DataFusion's own.
pub(crate) fn functions(place: &Path) -> Vec<ScalarUDF> {
    let mut functions = lake_functions();
    functions.push(Witness::new(place).function());
    functions
}

/// Where the scheduler writes its port down.
pub(crate) fn port_file(place: &Path) -> PathBuf {
    place.join("port")
}

/// Not a test of its own: the process that others start.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process that the tests start"]
async fn scheduler() {
    let place = PathBuf::from(env::var_os(PLACE).unwrap());
    let listener = tokio::net::TcpListener::bind((HOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let functions = functions(&place);
    let config = Arc::new(SchedulerConfig {
        external_host: HOST.to_owned(),
        bind_port: port,
        executor_timeout_seconds: 5,
        expire_dead_executor_interval_seconds: 1,
        no_executors_grace_period_seconds: 30,
        min_ready_executors: EXECUTORS,
        // Every executor has a part in every stage.
        task_distribution: TaskDistributionPolicy::RoundRobin,
        override_session_builder: Some(Arc::new(move |config| {
            let mut state = ballista_core::utils::default_session_builder(config)?;
            for function in &functions {
                state.register_udf(Arc::new(function.clone()))?;
            }
            Ok(state)
        })),
        ..SchedulerConfig::default()
    });
    let cluster = BallistaCluster::new_from_config(&config).await.unwrap();
    let server = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, config);
    let server = server.await.unwrap();
    // Whoever sees the file sees all of it.
    let (file, begun) = (port_file(&place), place.join("port.begun"));
    fs::write(&begun, port.to_string()).unwrap();
    fs::rename(begun, file).unwrap();
    start_grpc_service_with_listener(listener, server).await.unwrap();
}

/// Not a test of its own: the process that others start.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process that the tests start"]
async fn executor() {
    executor_until_stopped().await.unwrap();
}

async fn executor_until_stopped() -> Result<()> {
    let place = PathBuf::from(env::var_os(PLACE).unwrap());
    let mut registry = BallistaFunctionRegistry::default();
    for function in functions(&place) {
        registry.scalar_functions.insert(function.name().to_owned(), Arc::new(function));
    }
    let [port, grpc_port] = free_ports();
    let config = ExecutorProcessConfig {
        bind_host: HOST.to_owned(),
        external_host: Some(HOST.to_owned()),
        port,
        grpc_port,
        scheduler_host: HOST.to_owned(),
        scheduler_port: env::var(PORT).unwrap().parse().unwrap(),
        // Twice as many as its tasks take, so that lost ones can run while these stand still.
        vcores: 4,
        work_dir: Some(env::var(WORK).unwrap()),
        executor_heartbeat_interval_seconds: 1,
        override_function_registry: Some(Arc::new(registry)),
        ..ExecutorProcessConfig::default()
    };
    start_executor_process(Arc::new(config)).await
}

/// An executor tells the scheduler the ports that it was given, so that 0 will not do.
fn free_ports() -> [u16; 2] {
    let listeners = [0, 0].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
