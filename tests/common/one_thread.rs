//! libtorch computes with one thread in this program: tensors of tests gain nothing from more, two pools of OpenMP on two cores
//! stall each other, and runs that are compared byte for byte must add in one order.
//!
//! It is set before `main`, since a test that sets it would change the order in which another adds just then.

#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = one_thread;

extern "C" fn one_thread() {
    tch::set_num_threads(1);
}
