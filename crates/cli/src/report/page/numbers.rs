use anyhow::Result;
use maud::html;

use super::{
    super::{layers::LayerShares, plots::percent},
    Page, Section,
};
use crate::summary::signed;

impl Page<'_> {
    /// How all influences are distributed.
    pub(super) fn distribution(&self) -> Result<Section> {
        let [below, above] = self.outside;
        let caption = html! {
            "Harmful pairs in red, helpful ones in blue. " (below) " pairs lie below and " (above) " above what is drawn."
        };
        Ok(Section {
            id: "distribution",
            short: "Distribution",
            title: "All influences",
            body: self.chart("distribution", &caption)?,
        })
    }

    /// What share of the influence goes through each block, where that was computed.
    pub(super) fn layers(&self) -> Result<Option<Section>> {
        let section = |layers: &LayerShares| -> Result<Section> {
            let caption = html! {
                "The sum of the magnitudes of all influences through a block, as a share of that through all blocks."
            };
            let rows = layers.names.iter().zip(layers.shares());
            let rows = rows.zip(layers.means());
            let body = html! {
                (self.chart("layers", &caption)?)
                div.scroll {
                    table {
                        thead { tr { th scope="col" { "block" } th scope="col" { "share" } th scope="col" { "mean magnitude" } } }
                        tbody {
                            @for ((name, share), mean) in rows {
                                tr { th scope="row" { (name) } td { (percent(share)) } td { (signed(mean).trim_start_matches('+')) } }
                            }
                        }
                    }
                }
            };
            Ok(Section {
                id: "layers",
                short: "Layers",
                title: "Through which layers",
                body,
            })
        };
        self.layers.as_ref().map(section).transpose()
    }
}
