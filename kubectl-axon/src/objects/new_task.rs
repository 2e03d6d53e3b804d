//! Creates a Task and prints it.

use axon_api::Task;

use crate::cluster::{Cluster, posting};
use crate::error::{Action, Result};
use crate::follow;
use crate::term::output::{ObjectFormat, Ui};

/// Creates a Task; a trial is a dry run of the server.
pub(crate) async fn create(cluster: &Cluster, task: &Task, trial: bool) -> Result<Task> {
    let name = task.metadata.name.clone().unwrap_or_default();
    let action = Action::new("create", "tasks")
        .named(&name)
        .within(&cluster.namespace);
    let params = posting(trial);
    cluster
        .call(&action, cluster.api::<Task>().create(&params, task))
        .await
}

/// Prints a Task that was created. One that is watched and to be printed is printed at its end.
pub(crate) fn print_new(
    ui: &Ui,
    task: &Task,
    name: &str,
    output: Option<ObjectFormat>,
    watch: bool,
) -> Result<()> {
    if watch && output.is_some() {
        ui.say(&format!("task/{name} created"));
        return Ok(());
    }
    print_task(ui, task, name, output, false)
}

/// Prints a Task that was created, or would be.
pub(crate) fn print_task(
    ui: &Ui,
    task: &Task,
    name: &str,
    output: Option<ObjectFormat>,
    trial: bool,
) -> Result<()> {
    match output {
        Some(format) => follow::print(ui, task, format),
        None if trial => ui.line(&format!("task/{name} created (server dry run)")),
        None => ui.line(&format!("task/{name} created")),
    }
}
