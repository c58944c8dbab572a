// What a component's own code throws while the plan is made: with its place in the recipe.
#include <fmt/format.h>

#include <algorithm>

#include "plan/builder.hpp"

namespace hearth::plan {
namespace {

/// " (it reads student.louder as 'B L d')": reads with symbols besides the batch, of which the component may
/// have wanted a number. A symbol that a writer misspelt ends up here.
std::string open_reads(const Node& node) {
    std::vector<std::string> open;
    for (const auto& wire : node.reads)
        if (!wire.name.empty() &&
            std::ranges::any_of(wire.shape, [](const Dim& dim) { return !dim.known() && !(dim == Dim("B")); }))
            open.push_back(fmt::format("{} as '{}'", wire.name, to_string(wire.shape)));
    return open.empty() ? "" : fmt::format(" (it reads {})", join(open));
}

/// What the plugin said, without the component and the function that the host put in front.
std::string own_words(const host::ComponentType& type, const std::string& message) {
    const auto place = type.place() + ": ";
    if (!message.starts_with(place)) return message;
    const auto words = message.substr(place.size());
    const auto colon = words.find(": ");
    return colon == std::string::npos ? words : words.substr(colon + 2);
}

}  // namespace

void Builder::refused(const Draft& draft, const Error& error) {
    if (error.code() != ExitCode::recipe) {
        const auto why = error.code() == ExitCode::internal ? open_reads(draft.node) : "";
        throw Error(error.code(),
                    fmt::format("{}: {}: {}{}", draft.node.where, draft.node.id, error.what(), why));
    }
    const auto* option =
        recipe::named_option(draft.spec->options, draft.type->schema(), own_words(*draft.type, error.what()));
    ++refusals_;
    problem(option == nullptr ? draft.origin : option->origin,
            fmt::format("{}: {}", draft.node.id, error.what()));
}

}  // namespace hearth::plan
