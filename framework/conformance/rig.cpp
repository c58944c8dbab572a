#include "conformance/rig.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "recipe/recipe.hpp"

namespace hearth::conformance {
namespace {

using at::Tensor;

Options bound_options(const host::ComponentType& type, Settings settings) {
    for (const auto& option : type.schema().options())
        if (option.needed && settings.options.find(option.name) == nullptr && !option.allowed.empty())
            settings.options.set(option.name, {option.allowed.front(), {"default", 0, 0}});
    recipe::Diagnostics problems;
    auto options =
        recipe::bind_options(settings.options, type.schema(), type.id(), {"settings", 0, 0}, problems);
    problems.throw_if_any("options to test " + type.id() + " with");
    return options;
}

/// What the training set of a run gives to a fit: some batches, the same at each call.
class MadeSet : public TrainingSet {
  public:
    static constexpr std::int64_t batches = 8, batch = 4;
    explicit MadeSet(const Rig& rig) : rig_(rig) {}
    std::int64_t size() const override { return batches * batch; }
    void each(const Use& use) const override {
        const at::NoGradGuard no_grad;
        for (std::int64_t i = 0; i < batches; ++i)
            use(rig_.fit_inputs(batch, static_cast<std::uint64_t>(100 + i)),
                at::arange(i * batch, (i + 1) * batch, at::kLong));
    }

  private:
    const Rig& rig_;
};

/// Where a component differentiates by a read, the others are made to depend on it, as a score depends on the
/// image it was given for.
Tensors linked(const Ports& reads, Tensors in) {
    const auto source = std::ranges::find_if(reads, &Port::with_gradient);
    if (source == reads.end()) return in;
    auto x = in[source->name];
    if (!x.requires_grad()) in.set(source->name, x = x.detach().requires_grad_(true));
    const auto flat = x.flatten(1);
    const auto ramp = at::linspace(-1, 1, flat.size(1), flat.options().requires_grad(false));
    const auto by_sample = (flat * ramp).sum(1).sin();
    for (const auto& port : reads) {
        const auto& y = in[port.name];
        if (&port == &*source || !y.is_floating_point() || batch_axis(port.shape) != 0 || port.is_detached)
            continue;
        auto sizes = std::vector<std::int64_t>(static_cast<std::size_t>(y.dim()), 1);
        sizes[0] = y.size(0);
        in.set(port.name, y + by_sample.view(sizes));
    }
    return in;
}

Tensors flattened(const LossOutput& loss) {
    Tensors out;
    if (loss.total.defined()) out.set("total", loss.total);
    if (loss.per_sample.defined()) out.set("per_sample", loss.per_sample);
    if (loss.per_pixel.defined()) out.set("per_pixel", loss.per_pixel);
    for (const auto& [name, term] : loss.terms) out.set("term." + name, term);
    return out;
}

}  // namespace

Rig::Rig(const host::ComponentType& type, Settings settings, std::uint64_t seed)
    : type_(&type),
      settings_(std::move(settings)),
      options_(bound_options(type, settings_)),
      seed_(seed),
      all_reads_(type.reads(options_)) {
    const auto known = numbers_for(all_reads_, sizes_to_try().front(), {});
    for (const auto& [name, size] : settings_.symbols)
        if (!known.bound(name))
            throw RecipeError(fmt::format("{}: found a size for the symbol {}, expected a symbol of its reads",
                                          type.id(), name));
    for (const auto& [name, values] : settings_.inputs)
        if (std::ranges::find(all_reads_, name, &Port::name) == all_reads_.end())
            throw RecipeError(
                fmt::format("{}: found values for the input '{}', expected one of its reads", type.id(), name));
}

Rig Rig::with(Options options) const {
    Rig other = *this;
    other.options_ = std::move(options);
    other.all_reads_ = type_->reads(other.options_);
    other.sizes_ = nullptr;
    return other;
}

Rig Rig::with(Connected connected) const {
    Rig other = *this;
    other.connected_ = connected;
    other.sizes_ = nullptr;
    return other;
}

std::shared_ptr<Component> Rig::create(std::uint64_t salt) {
    auto component = create_only(salt);
    fit(*component);
    begin_epoch(*component, {});
    return component;
}

std::shared_ptr<Component> Rig::create_only(std::uint64_t salt) {
    if (sizes_ != nullptr) return create_of(*sizes_, salt);
    std::string refusal;
    for (const auto& sizes : sizes_to_try()) try {
            auto component = create_of(sizes, salt);
            sizes_ = &sizes;
            return component;
        } catch (const RecipeError& error) {
            if (refusal.empty()) refusal = error.what();
        }
    throw RecipeError(refusal +
                      " (images of 32, 64, 96 and 224 pixels were tried; say other sizes or options in the "
                      "settings)");
}

std::shared_ptr<Component> Rig::create_of(const Sizes& sizes, std::uint64_t salt) {
    reads_.clear();
    Ports bound;
    for (const auto& port : all_reads_) {
        if (port.optional && connected_ == Connected::needed) continue;
        bound.push_back(port);
        if (!port.only_for_fit) reads_.push_back(port);
    }
    symbols_ = numbers_for(bound, sizes, settings_.symbols);
    writes_ = type_->writes(options_, symbols_);
    at::manual_seed(seed_ + 7919 * salt);
    return type_->create(options_, symbols_);
}

void Rig::fit(Component& component) const {
    if (component.fits() == Fit::never) return;
    const MadeSet set(*this);
    auto now = context({});
    now.set = &set;
    at::manual_seed(seed_);
    host::guarded(place(*this, "fit"), [&] { component.fit(now); });
}

void Rig::begin_epoch(Component& component, const Call& call) const {
    const MadeSet set(*this);
    auto now = context(call);
    now.set = &set;
    at::manual_seed(seed_);
    host::guarded(place(*this, "on_epoch_begin"), [&] { component.on_epoch_begin(now); });
}

Values Rig::values(const Port& port) const {
    const auto said = settings_.inputs.find(port.name);
    return said == settings_.inputs.end() ? values_of(port) : said->second;
}

Tensors Rig::made(const Ports& ports, std::int64_t batch, std::uint64_t salt) const {
    Tensors out;
    std::uint64_t number = 0;
    for (const auto& port : ports) {
        std::vector<std::int64_t> sizes;
        for (const auto& dim : symbols_.resolve(port.shape)) sizes.push_back(dim.known() ? dim.value() : batch);
        const auto seed = seed_ * 1000003 + salt * 1009 + ++number;
        // Samples are counted along the batch axis, wherever it is.
        const auto axis = std::max<std::int64_t>(0, batch_axis(port.shape));
        if (!sizes.empty()) std::rotate(sizes.begin(), sizes.begin() + axis, sizes.begin() + axis + 1);
        auto tensor = make_tensor(port, values(port), sizes, seed);
        out.set(port.name, axis == 0 ? tensor : tensor.movedim(0, axis).contiguous());
    }
    return out;
}

Tensors Rig::inputs(std::int64_t batch, std::uint64_t salt) const {
    return made(reads_, batch, salt);
}

Tensors Rig::fit_inputs(std::int64_t batch, std::uint64_t salt) const {
    Ports ports;
    for (const auto& port : all_reads_)
        if (!port.optional || connected_ == Connected::all) ports.push_back(port);
    return made(ports, batch, salt);
}

Context Rig::context(const Call& call) const {
    Context context;
    context.progress = {.step = call.step, .total_steps = 20, .steps_per_epoch = 4};
    context.device = call.device;
    context.seed = seed_;
    context.training = call.training;
    context.learns = call.training && call.learns;
    context.comm = call.comm;
    context.wanted = call.wanted;
    context.draw = static_cast<std::uint64_t>(call.step);
    return context;
}

Tensors Rig::run(Component& component, const Tensors& in, const Call& call) const {
    component.train(call.training);
    const auto now = context(call);
    const auto given = linked(reads_, in);
    at::manual_seed(seed_);
    return host::guarded(place(*this, "forward"), [&]() -> Tensors {
        switch (kind()) {
            case Kind::backbone:
                return dynamic_cast<Backbone&>(component).forward(given, now);
            case Kind::head:
                return dynamic_cast<Head&>(component).forward(given, now);
            default:
                return flattened(dynamic_cast<Loss&>(component).forward(given, now));
        }
    });
}

RandomKey Rig::key(std::int64_t i) const {
    return {.seed = seed_, .epoch = 1, .sample = static_cast<std::uint64_t>(i), .stream = 1};
}

Tensors Rig::draw(const Component& component, const Tensors& in, std::int64_t i) const {
    const at::NoGradGuard no_grad;
    Random random(key(i));
    return host::guarded(place(*this, "sample"), [&] {
        return dynamic_cast<const Augment&>(component).sample(sample_of(reads_, in, i), random);
    });
}

std::string place(const Rig& rig, const char* call) {
    return fmt::format("{} '{}': {}", to_string(rig.kind()), rig.type().id(), call);
}

Tensors sample_of(const Ports& reads, const Tensors& batch, std::int64_t i) {
    Tensors out;
    for (const auto& port : reads) {
        const auto axis = batch_axis(port.shape);
        out.set(port.name, axis < 0 ? batch[port.name] : batch[port.name].select(axis, i));
    }
    return out;
}

std::vector<std::pair<std::string, Tensor>> state_of(const torch::nn::Module& module) {
    std::vector<std::pair<std::string, Tensor>> out;
    for (const auto& item : module.named_parameters()) out.emplace_back(item.key(), item.value());
    for (const auto& item : module.named_buffers()) out.emplace_back(item.key(), item.value());
    return out;
}

void to_double(torch::nn::Module& module) {
    for (auto& [name, tensor] : state_of(module))
        if (tensor.is_floating_point()) tensor.set_data(tensor.data().to(at::kDouble));
}

Tensors to_double(const Tensors& tensors) {
    Tensors out;
    for (const auto& [name, tensor] : tensors)
        out.set(name, tensor.is_floating_point() ? tensor.to(at::kDouble) : tensor);
    return out;
}

}  // namespace hearth::conformance
