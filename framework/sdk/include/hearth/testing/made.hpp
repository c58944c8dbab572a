// A component that was made for a test, with what it declares: random inputs of the shapes that it reads, and a check
// that what it returns is what it says it writes.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <hearth/plugin.hpp>
#include <hearth/testing/expect.hpp>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace hearth::testing {

/// Symbol -> size, the batch size "B" among them: {{"B", 4}, {"D", 3}}.
using Sizes = std::map<std::string, std::int64_t>;

/// What Port::of() names. Throws Failure for another word.
inline at::ScalarType scalar_type(const std::string& dtype) {
    if (dtype == "float") return at::kFloat;
    if (dtype == "int64") return at::kLong;
    if (dtype == "bool") return at::kBool;
    throw Failure("found a port of type " + dtype + ", expected float, int64 or bool");
}

/// The component, what it was made with and its ports. `made->forward(..)` calls the component.
template <class T>
struct Made {
    Options options;
    Sizes sizes;
    Symbols symbols;  ///< as the component got them
    Ports reads, writes;
    std::shared_ptr<T> component;

    Made(const HearthComponent& entry, Options given, const Sizes& of)
        : options(std::move(given)), sizes(of), reads(entry.reads(options)) {
        for (const auto& [name, size] : sizes) symbols.bind(name, name == "B" ? Dim("B") : Dim(size));
        writes = entry.writes(options, symbols);
        for (auto& port : writes) port.shape = symbols.resolve(port.shape);
        component = std::static_pointer_cast<T>(entry.create(options, symbols));
        expect(component != nullptr, "a component, not a null pointer");
    }
    T* operator->() const { return component.get(); }

    /// Random numbers for every port that is read, optional ones included, as forward() gets them: a float port is
    /// normal, or uniform in [0, 1] where it is called `image` or belongs to an augment; int64 is 0 or 1. One
    /// seed gives the same numbers. Throws Failure where a symbol has no size.
    Tensors inputs(std::uint64_t seed = 1) const {
        at::manual_seed(seed);
        Tensors out;
        for (const auto& port : reads) out.set(port.name, random(port, /*sample=*/false));
        return out;
    }
    /// The same for Augment::sample(): one sample, without the batch axis.
    Tensors views(std::uint64_t seed = 1) const {
        at::manual_seed(seed);
        Tensors out;
        for (const auto& port : reads) out.set(port.name, random(port, /*sample=*/true));
        return out;
    }

    /// Throws Failure unless `found` has the declared writes, each of its type, rank and known sizes, and nothing
    /// else. Ports with maybe() may be missing.
    void expect_declared(const Tensors& found, bool sample = false) const {
        for (const auto& port : writes) {
            if (!found.has(port.name) && port.optional) continue;
            expect(found.has(port.name), "a tensor '" + port.name + "', which the component declares to write");
            expect_like(port, found[port.name], sample);
        }
        for (const auto& [name, tensor] : found)
            expect(std::any_of(writes.begin(), writes.end(),
                               [&, &word = name](const Port& p) { return p.name == word; }),
                   "only what is declared, and '" + name + "' is not");
    }
    /// The same of a loss: a finite scalar, and a value an image or pixel exactly where one is declared.
    void expect_declared(const LossOutput& found) const {
        expect(found.total.defined() && found.total.dim() == 0, "a total that is a scalar");
        expect(found.total.isfinite().template item<bool>(), "a total that is finite");
        Tensors told;
        if (found.per_sample.defined()) told.set("per_sample", found.per_sample);
        if (found.per_pixel.defined()) told.set("per_pixel", found.per_pixel);
        expect_declared(told);
    }

  private:
    /// Sizes of a port; -1 for one that nobody knows.
    std::vector<std::int64_t> sizes_of(const Port& port, bool sample) const {
        std::vector<std::int64_t> out;
        for (const auto& dim : port.shape) {
            if (sample && dim == Dim("B")) continue;
            const auto given = sizes.find(dim.text());
            out.push_back(dim.known() ? dim.value() : given == sizes.end() ? -1 : given->second);
        }
        return out;
    }
    at::Tensor random(const Port& port, bool sample) const {
        const auto shape = sizes_of(port, sample);
        expect(std::find(shape.begin(), shape.end(), -1) == shape.end(),
               "a size for each symbol of '" + port.name + "' [" + to_string(port.shape) +
                   "]: make(id, words, {{\"B\", 2}, ..})");
        if (port.dtype == "int64") return at::randint(2, shape, at::kLong);
        if (port.dtype == "bool") return at::rand(shape) < 0.5;
        return port.name == "image" || T::kind == Kind::augment ? at::rand(shape) : at::randn(shape);
    }
    void expect_like(const Port& port, const at::Tensor& found, bool sample) const {
        expect(found.defined(), "a tensor for '" + port.name + "', not an empty one");
        const auto shape = sizes_of(port, sample);
        bool fits = found.dim() == static_cast<std::int64_t>(shape.size());
        for (std::size_t i = 0; fits && i < shape.size(); ++i)
            fits = shape[i] < 0 || shape[i] == found.size(static_cast<std::int64_t>(i));
        std::ostringstream sizes_found;
        sizes_found << found.sizes() << " " << found.scalar_type();
        const bool is_type =
            port.dtype == "float" ? found.is_floating_point() : found.scalar_type() == scalar_type(port.dtype);
        expect(fits && is_type, "'" + port.name + "' [" + to_string(port.shape) + "] " + port.dtype +
                                    ", found " + sizes_found.str());
    }
};

/// Throws Failure unless an augment makes the same views for the same key, others for another sample (where
/// `varies`), and leaves what it is given as it was.
inline void expect_repeatable(const Made<Augment>& augment, bool varies = true) {
    const auto views = augment.views();
    Tensors before;
    for (const auto& [name, view] : views) before.set(name, view.clone());
    const auto draw = [&](std::uint64_t sample) {
        Random random({.seed = 1, .epoch = 0, .sample = sample, .stream = 1});
        return augment->sample(views, random);
    };
    const auto first = draw(0), again = draw(0);
    bool differs = false;
    for (const auto& [name, view] : first) {
        expect(at::equal(view, again[name]), "the same '" + name + "' for the same key");
        for (std::uint64_t sample = 1; sample < 9; ++sample)
            differs = differs || !at::equal(view, draw(sample)[name]);
    }
    expect(differs || !varies, "another view for another sample");
    for (const auto& [name, view] : before)
        expect(at::equal(view, views[name]), "'" + name + "' as it was given");
}

}  // namespace hearth::testing
