// Package demo walks a reader through the main job with real requests: it starts
// gatehouse-dev with the quickstart, asks it for good and for bad, shows what came
// back and checks each thing it says.
//
// It is for people first. Nothing is simulated: what the page shows was answered
// by the running process, and tokens are shown decoded or shortened only.
package demo
