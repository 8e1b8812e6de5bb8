//! Measures queries of Resource Graph over 100,000 machines.

#[cfg(feature = "cloud")]
fn main() {
    speed::measure();
}

#[cfg(not(feature = "cloud"))]
fn main() {}

#[cfg(feature = "cloud")]
mod speed {
    use std::{hint::black_box, time::Instant};

    use jiff::Timestamp;
    use patchkit_testkit::cloud::azure::graph::{
        Format, Options, PageRequest, Pager, Query, RowSet, Table,
    };
    use serde_json::json;

    const NODES: usize = 100_000;

    const QUERIES: [(&str, &str); 8] = [
        (
            "filter and project",
            "resources | where type =~ 'Microsoft.Compute/virtualMachines' | project id, name, location, resourceGroup, subscriptionId, power = tostring(properties.extended.instanceView.powerState.code)",
        ),
        (
            "patchkit: machines",
            "resources | where type in~ ('microsoft.compute/virtualmachines', 'microsoft.hybridcompute/machines') | project id, name, location, tags, vmId = properties.vmId, os = properties.storageProfile.osDisk.osType, power = properties.extended.instanceView.powerState.code",
        ),
        ("whole rows", "resources | where type =~ 'microsoft.compute/virtualmachines'"),
        ("sorted", "resources | project id, name | order by name asc"),
        (
            "joined with assessments",
            "resources | where type =~ 'microsoft.compute/virtualmachines' | project id = tolower(id), tags | join kind=leftouter (patchassessmentresources | where type !has 'softwarepatches' | extend m = tolower(tostring(split(id, '/patchAssessmentResults')[0])) | project m, properties) on $left.id == $right.m | project id, tags, properties",
        ),
        (
            "summarize",
            "resources | summarize count() by tostring(properties.extended.instanceView.powerState.code)",
        ),
        ("none found", "resources | where name == 'x' | project id"),
        ("count", "resources | where type =~ 'microsoft.compute/virtualmachines' | count"),
    ];

    pub(super) fn measure() {
        let mut rows = RowSet::new();
        for at in 0..NODES {
            let id = format!(
                "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg{}/providers/Microsoft.Compute/virtualMachines/vm-{at:06}",
                at % 100
            );
            rows.push(
                Table::Resources,
                json!({
                    "id": id, "name": format!("vm-{at:06}"), "type": "microsoft.compute/virtualmachines",
                    "tenantId": "22222222-2222-2222-2222-222222222222", "kind": "", "location": "westeurope",
                    "resourceGroup": format!("rg{}", at % 100), "managedBy": "",
                    "subscriptionId": "11111111-1111-1111-1111-111111111111",
                    "tags": {"Patch Group": "web", "env": "prod"},
                    "properties": {
                        "vmId": format!("33333333-3333-3333-3333-{at:012}"),
                        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
                        "provisioningState": "Succeeded",
                        "osProfile": {"computerName": format!("vm-{at:06}"), "adminUsername": "azureuser",
                            "linuxConfiguration": {"patchSettings": {"patchMode": "AutomaticByPlatform", "assessmentMode": "ImageDefault"}}},
                        "storageProfile": {"osDisk": {"osType": "Linux", "diskSizeGB": 30},
                            "imageReference": {"publisher": "Canonical", "offer": "ubuntu", "sku": "22_04"}},
                        "extended": {"instanceView": {"powerState": {"code": "PowerState/running", "displayStatus": "VM running"}}},
                    },
                }),
            );
            rows.push(
                Table::PatchAssessmentResources,
                json!({
                    "id": format!("{id}/patchAssessmentResults/latest"), "name": "latest",
                    "type": "microsoft.compute/virtualmachines/patchassessmentresults",
                    "properties": {"rebootPending": false, "availablePatchCountByClassification": {"critical": 1, "security": 2, "other": 5}},
                }),
            );
        }
        let now = Timestamp::UNIX_EPOCH;
        for (name, text) in QUERIES {
            let query = Query::parse(text).expect("a query of this file");
            let options = Options::default();
            let request = PageRequest { query: text, scope: "s", options: &options };
            let mut pager = Pager::new(1);
            let start = Instant::now();
            let rendered = query.render(&rows, now, Format::ObjectArray).expect("a small answer");
            let page = pager.open(request, rendered, Some(1), now);
            let size = black_box(page.body()).len();
            let first = start.elapsed();
            print!(
                "{name:<26} first page {first:>10.2?} ({:>6} rows, body {size} B)",
                page.count()
            );
            let start = Instant::now();
            for _ in 0..100 {
                if let Some(page) = pager.reuse(request, 1, now) {
                    black_box(page.body());
                }
            }
            print!("  reused {:>10.2?}", start.elapsed() / 100);
            let Some(token) = page.skip_token() else {
                println!();
                continue;
            };
            let mut options = Options::default();
            options.skip_token = Some(token.to_owned());
            let (start, mut pages) = (Instant::now(), 0_u32);
            loop {
                let request = PageRequest { query: text, scope: "s", options: &options };
                let page = pager.resume(request, now).expect("a fresh token").expect("a token");
                pages += 1;
                black_box(page.body());
                let Some(token) = page.skip_token() else { break };
                options.skip_token = Some(token.to_owned());
            }
            println!("  later pages {:>10.2?} each ({pages})", start.elapsed() / pages);
        }
        let start = Instant::now();
        for (_, text) in QUERIES.iter().cycle().take(8_000) {
            black_box(Query::parse(text).is_ok());
        }
        println!("parse and plan {:.2?} each", start.elapsed() / 8_000);
    }
}
