// A plugin library as it is looked at before it is loaded; nothing here loads it. An input that is no ELF file
// fills the numbers of a descriptor instead.
#include <array>
#include <cstring>

#include "base/sha256.hpp"
#include "host/descriptor.hpp"
#include "host/dynamic_symbols.hpp"
#include "host/identity.hpp"
#include "host/registry.hpp"
#include "support/fuzz.hpp"

namespace hearth::fuzz {
namespace {

void run_file(std::string_view bytes) {
    const auto file = write_file("libhearth_input.so", bytes);
    const auto refusal = host::check_file(file);
    require(refusal.empty() || refusal.find(file.string()) != std::string::npos, "a refusal names the file");
    require(base::sha256(file).size() == 64, "every file has a SHA-256");
    const bool is_library = host::check_elf(file).empty();
    std::vector<std::string> identities;
    bool exported = false;
    const bool readable = accepts([&] { identities = host::read_identities(file); }) &&
                          accepts([&] { exported = host::exports_symbol(file, "hearth_plugin"); });
    for (const auto& found : identities) host::compare_identities(found, host::host_identity());
    const bool expected = is_library && readable && exported && !identities.empty();
    require(refusal.empty() <= expected, "a file is accepted only where all of its parts are");
}

void run_descriptor(std::span<const std::uint8_t> bytes) {
    constexpr std::array<const char*, 3> texts = {"text", "", nullptr};
    const HearthComponent good = {Kind::loss,
                                  "component",
                                  "summary",
                                  [](Schema&) {},
                                  [](const Options&) { return Ports{}; },
                                  [](const Options&, const Symbols&) { return Ports{}; },
                                  [](const Options&, const Symbols&) { return std::shared_ptr<Component>(); }};
    std::array<HearthComponent, 4> components;
    components.fill(good);
    auto plugin = describe({.id = "plugin", .version = "1", .summary = ""}, components.data(), 1);
    std::size_t at = 0;
    const auto next = [&] { return at < bytes.size() ? bytes[at++] : std::uint8_t{0}; };
    const auto text = [&] { return texts[next() % texts.size()]; };
    const std::array numbers = {&plugin.struct_size,      &plugin.component_size, &plugin.component_align,
                                &plugin.options_size,     &plugin.option_size,    &plugin.schema_size,
                                &plugin.port_size,        &plugin.context_size,   &plugin.tensors_size,
                                &plugin.loss_output_size, &plugin.schedule_size,  &plugin.random_size};
    for (auto* number : numbers) *number ^= next();
    plugin.api_major ^= next(), plugin.api_minor ^= next();
    for (auto* field :
         {&plugin.id, &plugin.version, &plugin.summary, &plugin.license, &plugin.url, &plugin.paper})
        *field = text();
    plugin.component_count = next() % (components.size() + 1);
    for (auto& component : components) {
        component.kind = static_cast<Kind>(static_cast<int>(good.kind) ^ next());
        component.id = text(), component.summary = text();
        if (next() % 4 == 1) component.schema = nullptr;
    }
    const bool fits = host::check_descriptor(&plugin).empty();
    require(!fits || plugin.struct_size == sizeof(HearthPlugin), "a descriptor that fits has our size");
    require(!fits || (plugin.id != nullptr && plugin.component_count > 0), "a descriptor that fits is whole");
}

}  // namespace
}  // namespace hearth::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto text = hearth::fuzz::text_of({bytes, size});
    if (text.starts_with("\x7f"))
        hearth::fuzz::run_file(text);
    else
        hearth::fuzz::run_descriptor({bytes, size});
    return 0;
}
