#include "conformance/cases.hpp"

namespace hearth::conformance {

const std::vector<Case>& all_cases() {
    using enum Kind;
    static const std::vector<Kind> all = {augment, backbone, head, loss}, augments = {augment},
                                   networks = {backbone, head}, calls = {backbone, head, loss};
    static const std::vector<Case> cases = {
        {"schema", "options are documented, and values out of range are refused", all, &check_schema},
        {"create", "created and destroyed with default options", all, &check_create},
        {"options", "random valid options work, or are refused as the recipe's mistake", all, &check_options},
        {"outputs", "outputs are what was declared: names, shapes, types, device", all, &check_outputs},
        {"wanted", "an output does not depend on which others are read", networks, &check_wanted},
        {"inputs", "inputs are left as they were", all, &check_inputs_kept},
        {"key", "the same key makes the same sample, also in a new component", augments, &check_key},
        {"threads", "several threads make what one makes", augments, &check_threads},
        {"halves", "draw() and render() make what sample() makes", augments, &check_halves},
        {"hooks", "hooks and counts() can be called, in the order of a step", all, &check_hooks},
        {"state", "parameters and buffers hold all that outputs depend on", calls, &check_state},
        {"repeat", "evaluation changes nothing and gives the same twice", calls, &check_repeat},
        {"one", "a batch of one sample", calls, &check_batch_of_one},
        {"masks", "masks and labels that are empty, full or unknown", calls, &check_masks},
        {"split", "a sample's output does not depend on its batch", networks, &check_split},
        {"order", "outputs follow the order of the samples", calls, &check_order},
        {"gradients", "gradients are those of finite differences, in double", calls, &check_gradients},
        {"second", "so are second derivatives, where the component has them", networks,
         &check_second_derivative},
        {"bf16", "finite under mixed precision, gradients too", calls, &check_mixed_precision},
        {"meta", "no value is asked for, no tensor left on another device", calls, &check_without_data},
        {"processes", "two processes compute what one does, where they exchange anything", calls,
         &check_processes}};
    return cases;
}

std::vector<std::string> case_names() {
    std::vector<std::string> names;
    for (const auto& one : all_cases()) names.emplace_back(one.name);
    return names;
}

}  // namespace hearth::conformance
