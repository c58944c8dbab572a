// Samples of an augment depend on their key alone.
#include <ATen/ATen.h>

#include <exception>
#include <thread>

#include "conformance/cases.hpp"
#include "conformance/compare.hpp"
#include "plan/untouched.hpp"

namespace hearth::conformance {
namespace {

constexpr std::int64_t samples = 8;

Tensors drawn_alone(const Rig& rig, const Component& component, const Tensors& in, std::int64_t i) {
    return plan::copied(rig.draw(component, in, i));
}

/// All samples, by `count` threads that start at different ones; the words of the first difference.
std::string differences(const Rig& rig, const Component& component, const Tensors& in,
                        const std::vector<Tensors>& expected, int count) {
    std::vector<std::string> problems(static_cast<std::size_t>(count));
    std::vector<std::thread> threads;
    for (int t = 0; t < count; ++t)
        threads.emplace_back([&, t] {
            auto& problem = problems[static_cast<std::size_t>(t)];
            try {
                for (std::int64_t k = 0; k < 2 * samples && problem.empty(); ++k) {
                    const auto i = (k + t) % samples;
                    problem = apart(rig.draw(component, in, i), expected[static_cast<std::size_t>(i)]);
                }
            } catch (const std::exception& error) {
                problem = error.what();
            }
        });
    for (auto& thread : threads) thread.join();
    for (const auto& problem : problems)
        if (!problem.empty()) return problem;
    return "";
}

/// The same views as sample() writes, with their batch axis.
std::string render_misfit(const Rig& rig, const Tensors& in, const Tensors& out) {
    return plan::Boundary(rig.reads(), rig.writes(), rig.symbols()).problem(in, out, {});
}

}  // namespace

void check_key(Rig& rig) {
    const auto component = rig.create(), fresh = rig.create(1);
    const auto in = rig.inputs(samples);
    std::vector<Tensors> first;
    for (std::int64_t i = 0; i < samples; ++i) first.push_back(drawn_alone(rig, *component, in, i));
    for (std::int64_t i = samples; i-- > 0;) {
        const auto& expected = first[static_cast<std::size_t>(i)];
        at::manual_seed(rig.seed() + 17);
        auto problem = apart(rig.draw(*component, in, i), expected);
        require(problem.empty(), "{}, for the same key again; draw from `random` alone", problem);
        problem = apart(rig.draw(*fresh, in, i), expected);
        require(problem.empty(), "{}, in a new component; keep nothing between samples", problem);
    }
}

void check_threads(Rig& rig) {
    const auto component = rig.create();
    const auto in = rig.inputs(samples);
    std::vector<Tensors> alone;
    for (std::int64_t i = 0; i < samples; ++i) alone.push_back(drawn_alone(rig, *component, in, i));
    const auto problem = differences(rig, *component, in, alone, 4);
    require(problem.empty(), "{}, where four threads call sample() at once; it must not change the component",
            problem);
}

void check_halves(Rig& rig) {
    const auto component = rig.create();
    const auto* augment = dynamic_cast<const DeviceAugment*>(component.get());
    if (augment == nullptr) throw Skip("it is no DeviceAugment");
    const at::NoGradGuard no_grad;
    const auto in = rig.inputs();
    std::map<std::string, std::vector<at::Tensor>> rows, views;
    for (std::int64_t i = 0; i < usual_batch; ++i) {
        Random random(rig.key(i));
        const auto row = augment->draw(sample_of(rig.reads(), in, i), random);
        for (const auto& name : augment->drawn()) {
            require(row.has(name), "draw() returns no '{}', which drawn() names", name);
            rows[name].push_back(row[name]);
        }
        for (const auto& [name, view] : rig.draw(*component, in, i)) views[name].push_back(view);
    }
    Tensors drawn, expected;
    for (const auto& [name, list] : rows) drawn.set(name, at::stack(list));
    for (const auto& port : rig.writes())
        if (const auto found = views.find(port.name); found != views.end())
            expected.set(port.name, at::stack(found->second, batch_axis(port.shape)));
    const auto out = augment->render(in, drawn);
    auto problem = render_misfit(rig, in, out);
    require(problem.empty(), "render(): {}", problem);
    // A pixel on an edge may fall to the other side of it by rounding: means are compared.
    for (const auto& [name, tensor] : expected) {
        if (!tensor.is_floating_point()) continue;
        require(out.has(name), "render() writes no '{}', which sample() writes", name);
        const auto error = (out[name] - tensor).abs().mean().item<double>();
        require(error < 1e-3, "{}: render() and sample() differ by {:.2g} on average, expected rounding", name,
                error);
    }
}

}  // namespace hearth::conformance
