// Draws a random vector for each image of a batch: what a generator makes pictures of.
#include <hearth/hearth.hpp>

namespace {

using namespace hearth;

/// index [B] (int64, the images of the batch) -> noise [B, Z], float: numbers of mean 0 and deviation 1
/// ("normal"), or between -1 and 1 ("uniform"). Every update draws anew. A row depends on the run's seed, the
/// update and its image alone, so that resumed runs and several processes draw what one run would.
class Noise : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("size", 128).range(1, 100'000).doc("Z, numbers an image");
        schema.text("distribution", "normal")
            .choices({"normal", "uniform"})
            .doc("normal: mean 0, deviation 1; uniform: between -1 and 1");
    }
    static Ports reads(const Options&) {
        return {Port("index", "B", "the images of the batch, which the draws are keyed by").of("int64")};
    }
    static Ports writes(const Options& options) {
        return {Port("noise", Shape{"B", options.integer("size")}, "random numbers")};
    }

    Noise(const Options& options, const Symbols&)
        : size_(options.integer("size")), uniform_(options.text("distribution") == "uniform") {}

    Tensors forward(const Tensors& in, const Context& context) override {
        const auto& index = in["index"];
        return {{"noise", uniform_ ? context.uniform(index, {size_}) * 2 - 1 : context.normal(index, {size_})}};
    }

  private:
    std::int64_t size_;
    bool uniform_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "noise", .version = "0.1.0", .summary = "Random vectors for a generator"}),
              component<Noise>("random numbers, normal or uniform, one vector an image"))
