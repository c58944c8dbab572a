// The cases that a component is put to. Each is a function that returns where the component holds to what its
// kind promises (hearth/component.hpp), and throws where it does not.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "conformance/rig.hpp"

namespace hearth::conformance {

/// What is wrong: found, expected.
struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};
/// Why a case does not apply to a component.
struct Skip : std::runtime_error {
    using std::runtime_error::runtime_error;
};

template <class... Parts>
void require(bool holds, fmt::format_string<Parts...> text, Parts&&... parts) {
    if (!holds) throw Failure(fmt::format(text, std::forward<Parts>(parts)...));
}

struct Case {
    const char* name;
    const char* about;  ///< what holds where it passes
    std::vector<Kind> kinds;
    void (*run)(Rig&);
};
/// All cases, in the order they are reported.
const std::vector<Case>& all_cases();
std::vector<std::string> case_names();

// cases_options.cpp -------------------------------------------------------------------------------------------

void check_schema(Rig& rig);
void check_create(Rig& rig);
void check_options(Rig& rig);

// cases_outputs.cpp -------------------------------------------------------------------------------------------

void check_outputs(Rig& rig);
void check_wanted(Rig& rig);
void check_inputs_kept(Rig& rig);
void check_batch_of_one(Rig& rig);
void check_masks(Rig& rig);
void check_mixed_precision(Rig& rig);
void check_without_data(Rig& rig);

// cases_augment.cpp -------------------------------------------------------------------------------------------

void check_key(Rig& rig);
void check_threads(Rig& rig);
void check_halves(Rig& rig);

// cases_state.cpp ---------------------------------------------------------------------------------------------

void check_hooks(Rig& rig);
void check_state(Rig& rig);
void check_repeat(Rig& rig);

// cases_batch.cpp ---------------------------------------------------------------------------------------------

void check_split(Rig& rig);
void check_order(Rig& rig);
void check_processes(Rig& rig);

// cases_gradients.cpp -----------------------------------------------------------------------------------------

void check_gradients(Rig& rig);
void check_second_derivative(Rig& rig);

}  // namespace hearth::conformance
