// A plan makes of a recipe and plugins a checked, executable dataflow over named tensors.
//
// Building a plan resolves every component, connects ports by name, orders the nodes, unifies symbolic shapes
// and creates the components. Everything that is wrong with the wiring is reported at once, before any data is
// opened (docs/recipes.md, "Wiring").
#pragma once

#include <functional>
#include <hearth/hearth.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/safetensors.hpp"
#include "host/registry.hpp"
#include "plan/boundary.hpp"
#include "plan/call_watch.hpp"
#include "recipe/recipe.hpp"

namespace hearth::plan {

/// A port connected to a name of the dataflow.
struct Wire {
    std::string port;  ///< the component's word
    std::string name;  ///< the dataflow's: "image", "mask", "student.tokens"
    Shape shape;       ///< filled when shapes are unified
    bool optional = false;
    std::string help;
    std::string dtype = "float";
    bool with_gradient = false;  ///< Port::gradient()
    bool detached = false;       ///< Port::detached()
    bool only_for_fit = false;   ///< Port::for_fit()
    bool group_of_one = false;   ///< the port has a group axis, the tensor none
};

/// One call of one component.
struct Node {
    std::string id;  ///< "augment.blur", "student.backbone", "student.project", "head.noise", "loss.mse"
    Kind kind = Kind::loss;
    std::string use, network, pass;
    std::vector<Wire> reads, writes;
    std::shared_ptr<Component> component;
    std::string where;  ///< recipe location, for errors
    /// "a.toml:7:1: student.gain: head 'gain' of plugin gain 0.1.0 (FILE)", in front of what it
    /// does wrong in a call.
    std::string place;
    Boundary boundary;             ///< what a call is held to; of an augment render()
    Boundary sample_boundary;      ///< of an augment, sample()
    Boundary drawn_boundary;       ///< and draw()
    bool trained = false;          ///< its parameters are updated, in some phase
    bool follows = false;          ///< its network is a follower: no gradient goes through it
    bool runs = true;              ///< in some phase; false: no loss or monitor needs it
    bool serves = false;           ///< does not run in steps, but for a fit or a score of [detect]
    bool fits = false;             ///< takes in the training set, in Component::fit() or at an epoch's start
    std::set<std::string> wanted;  ///< ports that a running node or the monitor reads, in some phase
    std::size_t loss_index = 0;
    /// The pass runs on a group of views of one size, "G B C H W": its components see G * B images, and what
    /// they write gets the group axis back. 0: no group.
    std::int64_t group = 0;
    /// An augment whose views step() makes, from what it drew for each sample in the loader; else null.
    std::shared_ptr<DeviceAugment> on_device;
    std::vector<Wire> drawn;  ///< what it draws
};

/// What a node does in a phase.
struct Use {
    bool runs = false;     ///< a loss of the phase, or the monitor, needs it
    bool updates = false;  ///< the phase updates its parameters
    bool carries = false;  ///< a gradient goes through it to what it reads or to its parameters
    bool learns = false;   ///< Context::learns
    /// Without gradient and made from the plain images alone: with data.samples_per_image its answers for one
    /// image are the same, and step() computes them once.
    bool once_per_image = false;
    /// An earlier phase of the step has computed the same on this batch: what it wrote is taken from there.
    bool reused = false;
    std::set<std::string> wanted;  ///< ports that a running node of the phase, or the monitor, reads
};

/// One of the updates that a step is made of: some losses, and what they train.
struct Phase {
    std::string name;  ///< [[phase]]; "" where a recipe has none, and one update trains everything
    std::int64_t repeat = 1, every = 1;
    std::vector<std::string> trains;   ///< networks and [[head]]s
    std::vector<std::size_t> losses;   ///< in the order of the recipe
    std::vector<Use> uses;             ///< of Plan::nodes(), in their order
    std::set<std::string> keeps;       ///< tensors that later phases take from it
    std::set<std::string> asked;       ///< tensors whose gradient a component asks for
    std::set<std::string> parameters;  ///< that it updates, by checkpoint name

    bool updates(const std::string& owner) const;
};

/// A network's components under the names its checkpoint uses: "backbone", "heads.<name>".
struct Network {
    std::string name;
    std::shared_ptr<Component> backbone;  ///< may be null
    std::vector<std::pair<std::string, std::shared_ptr<Component>>> heads;
    std::string follows;
    Schedule momentum;
    bool after_step = true;
    bool frozen = false;       ///< no update, and evaluation mode
    bool eval_mode = false;    ///< evaluation mode, whatever is updated
    bool own_buffers = false;  ///< a follower's batch statistics are its own
    bool updated = false;      ///< by some phase
    bool trained() const { return updated; }
    /// Parameters and buffers with their full names, "student.backbone.blocks.0.norm1.weight".
    std::vector<std::pair<std::string, at::Tensor>> named_parameters() const;
    std::vector<std::pair<std::string, at::Tensor>> named_buffers() const;
    std::vector<std::pair<std::string, std::shared_ptr<Component>>> components() const;
};

/// A node reads what another writes, or a source of the data.
struct Edge {
    const Node* from;  ///< null: the data deliver it
    const Node* to;
    const Wire* wire;  ///< of `to`
};

/// The result of one forward pass of the plan.
struct StepOutput {
    at::Tensor total;                                       ///< scalar with gradient
    std::vector<std::pair<std::string, at::Tensor>> terms;  ///< for the log, detached
    Tensors tensors;                                        ///< everything by its dataflow name
    const Phase* phase = nullptr;
};

/// A component that a phase runs, for its hooks.
struct Called {
    std::string name;
    std::shared_ptr<Component> component;
    bool learns = true;
};

/// Called before a node runs, and with null after the last one.
using NodeObserver = std::function<void(const Node* node)>;

/// A tensor whose spread and rank are tracked.
struct Watched {
    std::string name;      ///< in the dataflow; "" = nothing
    bool average = false;  ///< [B, L, D] is watched as its mean over L
};

class Plan {
  public:
    /// Throws RecipeError with every problem found.
    static Plan build(const recipe::Recipe& recipe, const host::Registry& registry);
    /// The same with the weights that the recipe's seed draws, on a device and in evaluation mode: those that a
    /// run starts from where no network names a file (train::load_initial_weights).
    static Plan initial(const recipe::Recipe& recipe, const host::Registry& registry,
                        c10::Device device = c10::kCPU);

    const std::vector<Node>& nodes() const { return nodes_; }  ///< in the order of execution
    /// Node by node, each connected port that it reads. They hold while the plan lives.
    std::vector<Edge> edges() const;
    const std::vector<Network>& networks() const { return networks_; }
    const Network* network(const std::string& name) const;
    const std::vector<std::string>& warnings() const { return warnings_; }
    /// The updates that make a step, in their order: one where the recipe has no [[phase]].
    const std::vector<Phase>& phases() const { return phases_; }
    /// How many batches a step takes: the largest `repeat`.
    std::int64_t batches_per_step() const;
    /// Names that the loader must deliver: the sources and views that some pass or loss reads, and what
    /// augments on the device are given.
    const std::set<std::string>& delivered() const { return delivered_; }
    /// Node::place of what writes or draws a name of the dataflow; "" of one that the data deliver.
    std::string place_of(const std::string& name) const;
    /// Where the batch axis is in the delivered views in which it is not the first (LoaderOptions::batch_axis).
    const std::map<std::string, std::int64_t>& batch_axes() const { return batch_axes_; }

    /// Runs the augments on one sample: `views` has the sources without batch axis and receives the views. May
    /// be called by several threads at once, as prepare(); all else is for one thread, the main one.
    void augment(Tensors& views, const RandomKey& key) const;
    /// The same for a sample that goes to step(): augments on the device only draw.
    void prepare(Tensors& views, const RandomKey& key) const;
    /// A batch of delivered() with the views of augments on the device.
    Tensors render(Tensors batch) const;
    /// Runs augments on the device, passes and losses of a phase on a batch of delivered(), which may hold what
    /// earlier phases keep for it too.
    StepOutput step(const Phase& phase, const Tensors& batch, const Context& context,
                    const NodeObserver& observer = {}) const;
    /// The same for the first phase.
    StepOutput step(const Tensors& batch, const Context& context, const NodeObserver& observer = {}) const;
    /// The sources and views that the tensors `names` are made from. Throws RecipeError for a name that nothing
    /// but data and augments writes.
    std::set<std::string> needs(const std::set<std::string>& names) const;
    /// Whether a component on the way to `names` asks for a gradient (Port::gradient()): outputs() then has to
    /// be called with gradients enabled.
    bool needs_gradient(const std::set<std::string>& names) const;
    /// Runs only what the tensors `names` need, also where no loss reads them: `views` holds needs(names). A
    /// loss runs where its ports are among them.
    Tensors outputs(const Tensors& views, const std::set<std::string>& names, const Context& context) const;
    /// The shape of a source, view or output in symbols; empty for a name that nobody reads or writes.
    Shape shape(const std::string& name) const;
    /// Runs one network's backbone alone (evaluation): image [B, C, H, W] -> its outputs by port name.
    Tensors features(const std::string& network, const at::Tensor& image, const Context& context) const;

    /// Every component once, for hooks, devices and modes.
    std::vector<std::pair<std::string, std::shared_ptr<Component>>> components() const;
    /// Those that a phase runs; the augments are with the first one.
    std::vector<Called> components(const Phase& phase) const;
    /// Parameters and buffers of networks and losses, by checkpoint name.
    std::vector<std::pair<std::string, at::Tensor>> state() const;
    /// Copies the tensors of a checkpoint into state(); a buffer that is empty takes the size it has there.
    /// Throws DataError, naming `file`, where one is missing or has another shape: then other plugins, or older
    /// ones, made it.
    void load(const base::SafeTensors& saved, const std::string& file);
    /// Parameters that the optimisers train, by checkpoint name.
    std::vector<std::pair<std::string, at::Tensor>> trained_parameters() const;
    std::vector<std::pair<std::string, at::Tensor>> trained_parameters(const Phase& phase) const;
    /// Buffers of networks that run in a phase which does not train them, nor a leader of theirs: batch
    /// statistics that it must leave as they were.
    std::vector<at::Tensor> buffers_to_keep(const Phase& phase) const;
    /// Makes the parameters of a phase those that ask for gradients.
    void ask_gradients(const Phase& phase);
    /// What the monitor watches: what [monitor] says, or of the first trained backbone what training reaches:
    /// the class token, or where nobody reads that, the mean of the patch tokens.
    Watched watched_features(const recipe::MonitorSpec& monitor) const;
    void to(c10::Device device);
    void train(bool on);

  private:
    friend class Builder;
    friend class Watching;
    /// Calls a component by `call`, before all watches and after.
    template <class Call>
    auto watched(const Node& node, const Context* context, const Tensors& in, Call&& call) const;
    /// Calls of components. They throw PluginError for what is not as it was declared. `batch`: how many images,
    /// for one that reads nothing of them; -1: not known.
    Tensors call(const Node& node, const Tensors& in, const Context& context, std::int64_t batch) const;
    LossOutput call_loss(const Node& node, const Tensors& in, const Context& context, std::int64_t batch) const;
    Tensors call_augment(const Node& node, const Tensors& in, Random& random, bool draws) const;
    void augment(Tensors& views, const RandomKey& key, bool draw_only) const;
    void render_on_device(const Node& node, Tensors& tensors, const Context* context) const;
    void show_delivered(const Node& node, const Tensors& tensors, const Context& context) const;
    void run(const Node& node, const Context& context, bool with_gradient, Tensors& tensors) const;
    void run_once_per_image(const Node& node, const Context& context, bool with_gradient, Tensors& tensors,
                            Tensors& unique) const;
    static void write_ports(const Node& loss, const LossOutput& out, Tensors& tensors);
    void add_loss(const Node& node, const Context& context, StepOutput& result) const;
    std::vector<const Node*> writers(std::set<std::string>& names) const;
    std::vector<Node> nodes_;
    std::vector<Network> networks_;
    std::vector<std::pair<std::string, std::shared_ptr<Component>>> heads_;  ///< outside networks
    std::vector<std::pair<std::string, std::shared_ptr<Loss>>> losses_;
    std::vector<Schedule> weights_;
    std::vector<Phase> phases_;
    std::vector<std::string> warnings_;
    std::set<std::string> delivered_;
    std::map<std::string, std::int64_t> batch_axes_;
    std::int64_t samples_per_image_ = 1;
    std::vector<CallWatch*> watches_;
};

/// While it lives, `watch` sees the calls of the plan, which stays where it is. One that is made later ends earlier.
class Watching {
  public:
    Watching(Plan& plan, CallWatch& watch);
    ~Watching();
    Watching(const Watching&) = delete;
    Watching& operator=(const Watching&) = delete;

  private:
    Plan& plan_;
};

/// The plan as a table for the terminal, as Mermaid, or as Graphviz dot.
std::string to_text(const Plan& plan);
std::string to_mermaid(const Plan& plan);
std::string to_dot(const Plan& plan);

}  // namespace hearth::plan
