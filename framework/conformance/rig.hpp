// A component as the cases use it: with options, with numbers for its symbols, and with made inputs.
#pragma once

#include <cstdint>
#include <memory>
#include <set>

#include "conformance/inputs.hpp"
#include "host/registry.hpp"

namespace hearth::conformance {

/// Samples of a batch; even, so that it has halves.
inline constexpr std::int64_t usual_batch = 4;

/// Which reads have a tensor: all but those for a fit, or only those that a recipe has to connect.
enum class Connected { all, needed };

/// How forward() is called.
struct Call {
    bool training = true, learns = false;
    c10::Device device = c10::kCPU;
    const Comm* comm = &Comm::local();
    const std::set<std::string>* wanted = nullptr;
    std::int64_t step = 1;  ///< of 20, 4 an epoch
};
inline const Call evaluating = {.training = false};

class Rig {
  public:
    /// Options of the settings on top of the defaults; a required choice without a value is its first. Throws
    /// RecipeError for settings that do not fit the component.
    Rig(const host::ComponentType& type, Settings settings, std::uint64_t seed);

    /// The same with other options, or with other reads connected.
    Rig with(Options options) const;
    Rig with(Connected connected) const;

    const host::ComponentType& type() const { return *type_; }
    Kind kind() const { return type_->kind(); }
    const Settings& settings() const { return settings_; }
    const Options& options() const { return options_; }
    std::uint64_t seed() const { return seed_; }

    /// Ready to be called: created, moved through its fit and the begin of an epoch. Of the sizes that it may
    /// have, the first that it is created with. Throws what the component throws, with its place; where it
    /// refuses all sizes, RecipeError.
    std::shared_ptr<Component> create(std::uint64_t salt = 0);
    /// The same without fit and epoch.
    std::shared_ptr<Component> create_only(std::uint64_t salt = 0);
    /// With a made training set: what comes before the first step, once, and what begins each epoch.
    void fit(Component& component) const;
    void begin_epoch(Component& component, const Call& call) const;

    /// Connected reads, and writes with the numbers of their symbols. Once something was created.
    const Ports& reads() const { return reads_; }
    const Ports& writes() const { return writes_; }
    const Symbols& symbols() const { return symbols_; }
    Values values(const Port& port) const;

    /// A tensor for each connected read, with its batch axis.
    Tensors inputs(std::int64_t batch = usual_batch, std::uint64_t salt = 0) const;
    /// Those that a fit is given too.
    Tensors fit_inputs(std::int64_t batch, std::uint64_t salt) const;
    Context context(const Call& call) const;

    /// What a backbone, head or loss writes for `in`. Of a loss: total, per_sample, per_pixel as far as they
    /// are defined, and its terms as "term.NAME". LibTorch's generator is seeded before.
    Tensors run(Component& component, const Tensors& in, const Call& call = {}) const;
    /// What an augment makes of sample `i` of `in`, with a key of its own.
    Tensors draw(const Component& component, const Tensors& in, std::int64_t i) const;
    RandomKey key(std::int64_t i) const;

  private:
    std::shared_ptr<Component> create_of(const Sizes& sizes, std::uint64_t salt);
    Tensors made(const Ports& ports, std::int64_t batch, std::uint64_t salt) const;

    const host::ComponentType* type_;
    Settings settings_;
    Options options_;
    std::uint64_t seed_;
    Connected connected_ = Connected::all;
    const Sizes* sizes_ = nullptr;  ///< those it was created with
    Ports all_reads_, reads_, writes_;
    Symbols symbols_;
};

/// "loss gain: forward", for messages.
std::string place(const Rig& rig, const char* call);

/// Views of sample `i`, without the batch axis, as an augment reads them.
Tensors sample_of(const Ports& reads, const Tensors& batch, std::int64_t i);

/// Parameters and buffers by name, the tensors themselves.
std::vector<std::pair<std::string, at::Tensor>> state_of(const torch::nn::Module& module);
/// Makes floating parameters, buffers and inputs double.
void to_double(torch::nn::Module& module);
Tensors to_double(const Tensors& tensors);

}  // namespace hearth::conformance
